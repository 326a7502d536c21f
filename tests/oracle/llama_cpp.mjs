#!/usr/bin/env node
// Asks llama.cpp, through the npm package node-llama-cpp, for what `carat run` computes.
//
//     llama_cpp.mjs CARAT FOLDER
//
// CARAT converts the HuggingFace folder to a float32 GGUF; both programs read that file. For each prompt (those
// of FOLDER/prompts.txt, or five that pass the sliding window twice) up to 64 greedy tokens must be the same, and
// all 64 for at least one prompt; every logit after every position fed must agree.
//
// node-llama-cpp is looked for in the folder that CARAT_NODE_LLAMA_CPP names (where `npm install node-llama-cpp`
// ran), else beside this file. Exit code 77 means that it could not be asked.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

// llama.cpp looks GELU up in a table of float16 values, which alone moves logits by 4e-3 here.
const TOLERANCE = 1e-2;
const GREEDY = 64;
const SKIPPED = 77;

const [carat, folder] = process.argv.slice(2);
if (!carat || !folder) {
  console.error("usage: llama_cpp.mjs CARAT FOLDER");
  process.exit(2);
}
const { getLlama } = await import(pathToFileURL(findPackage()).href);
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "carat-oracle-"));
try {
  process.exitCode = (await compareModel()) ? 0 : 1;
} finally {
  fs.rmSync(scratch, { recursive: true });
}

function findPackage() {
  const root = process.env.CARAT_NODE_LLAMA_CPP ?? import.meta.dirname;
  const entry = path.join(root, "node_modules", "node-llama-cpp", "dist", "index.js");
  if (fs.existsSync(entry)) return entry;
  console.log(`SKIPPED: no ${entry}; npm install node-llama-cpp in a folder and name it in CARAT_NODE_LLAMA_CPP`);
  process.exit(SKIPPED);
}

async function compareModel() {
  const gguf = path.join(scratch, "model.gguf");
  execFileSync(carat, ["convert", folder, gguf, "--scheme", "f32"], { stdio: ["ignore", "ignore", "inherit"] });
  const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: "error" });
  const model = await llama.loadModel({ modelPath: gguf });
  let longest = 0;
  let worst = 0;
  let same = true;
  for (const prompt of readPrompts()) {
    const ours = askCarat(gguf, prompt);
    const theirs = await askLlama(model, prompt, ours.tokens.length);
    const firstOther = ours.tokens.findIndex((token, index) => token !== theirs.tokens[index]);
    if (firstOther >= 0) {
      same = false;
      const [found, expected] = [ours.tokens[firstOther], theirs.tokens[firstOther]];
      console.log(`prompt of ${prompt.length}: greedy token ${firstOther} is ${found}, llama.cpp says ${expected}`);
    }
    longest = Math.max(longest, ours.tokens.length);
    worst = Math.max(worst, largestDifference(ours, theirs.rows, prompt.length));
  }
  console.log(`${folder}: largest logit difference to llama.cpp ${worst.toPrecision(3)}`);
  console.log(`greedy tokens ${same ? "the same" : "differ"}, up to ${longest} compared`);
  if (longest < GREEDY) console.log(`no prompt gave ${GREEDY} tokens`);
  return same && worst < TOLERANCE && longest === GREEDY;
}

function askCarat(gguf, prompt) {
  const npy = path.join(scratch, "logits.npy");
  const command = ["run", "-m", gguf, "--token-ids", prompt.join(","), "-n", String(GREEDY), "--temp", "0", "--json",
    "--logits", npy];
  const report = execFileSync(carat, command, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  return { tokens: JSON.parse(report).tokens, ...readNpy(npy) };
}

/// Greedy tokens, and one row of logits (a Map by token) for each position fed.
async function askLlama(model, prompt, count) {
  const context = await model.createContext({
    contextSize: prompt.length + GREEDY, sequences: 1, threads: 1, flashAttention: false,
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
  });
  const sequence = context.getSequence();
  const feed = async (ids) => {
    const next = { token: true, logits: true, options: { temperature: 0 } };
    const results = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: next }]));
    return results.map((result) => result.next);
  };
  const rows = await feed(prompt);
  const tokens = [rows.at(-1).token];
  while (tokens.length < count) {
    rows.push(...(await feed([tokens.at(-1)])));
    tokens.push(rows.at(-1).token);
  }
  await context.dispose();
  return { tokens, rows: rows.map((row) => row.logits) };
}

/// Over all positions that both fed, at least those of the prompt; infinite when there are fewer.
function largestDifference(ours, rows, promptLength) {
  const common = Math.min(ours.logits.length / ours.columns, rows.length);
  if (common < promptLength || rows[0].size !== ours.columns) return Infinity;
  let largest = 0;
  for (let row = 0; row < common; ++row) {
    for (const [token, logit] of rows[row]) {
      const difference = Math.abs(logit - ours.logits[row * ours.columns + token]);
      if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
    }
  }
  return largest;
}

function readNpy(file) {
  const bytes = fs.readFileSync(file);
  const begin = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 10, begin);
  const columns = Number(/'shape': \(\d+, (\d+)\)/.exec(header)[1]);
  const logits = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + bytes.length));
  return { logits, columns };
}

function readPrompts() {
  const stored = path.join(folder, "prompts.txt");
  if (fs.existsSync(stored)) {
    return fs.readFileSync(stored, "utf8").trim().split("\n").map((line) => line.split(",").map(Number));
  }
  const config = JSON.parse(fs.readFileSync(path.join(folder, "config.json"), "utf8"));
  const { vocab_size, sliding_window, bos_token_id = 2 } = config.text_config ?? config;
  return makePrompts(vocab_size, sliding_window, bos_token_id);
}

/// The same prompts as prompts.py makes.
function makePrompts(vocabulary, window, bos) {
  let state = BigInt(vocabulary) * 2654435761n + BigInt(window);
  const prompts = [];
  for (let index = 0; index < 5; ++index) {
    const prompt = [bos];
    while (prompt.length < 2 * window + 1 + 2 * index) {
      state = (state * 6364136223846793005n + 1442695040888963407n) % (1n << 64n);
      prompt.push(Number((state >> 33n) % BigInt(vocabulary)));
    }
    prompts.push(prompt);
  }
  return prompts;
}
