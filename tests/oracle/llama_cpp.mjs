#!/usr/bin/env node
// Asks llama.cpp, through the npm package node-llama-cpp, for what `carat run` computes.
//
//     llama_cpp.mjs CARAT FOLDER [TYPE...]
//
// CARAT converts the HuggingFace folder to a GGUF file of each TYPE (f32, q8_0, q4_0; q6_k is made by llama.cpp itself;
// codes are the integer codes of the folder, in blocks; f32 when none is named). For each prompt (those of FOLDER/prompts.txt, or two, one of them longer than three sliding
// windows) up to 128 greedy tokens must be the same, and all 128 for at least one prompt; where they part, the two
// tokens must be a tie: logits within 1e-2 of each other. Every logit after every position that both fed must agree.
//
// For the types with blocks llama.cpp is asked twice. What it computes from the float32 values that it reads in the file
// must agree as above. What it computes from the file itself is off by its own rounding of activations to 8 bits, which
// Carat does not do; there the logits need only be near.
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
const TIE = 1e-2;
// As for Q8_0 weights: 8 bits a block of 32 activations.
const ROUNDED_TOLERANCE = 0.25;
const GREEDY = 128;
const SKIPPED = 77;

const [carat, folder, ...types] = process.argv.slice(2);
if (!carat || !folder) {
  console.error("usage: llama_cpp.mjs CARAT FOLDER [TYPE...]");
  process.exit(2);
}
if (!fs.existsSync(folder)) {
  console.log(`SKIPPED: no ${folder}; the job that makes it needs transformers`);
  process.exit(SKIPPED);
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
  const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: "error" });
  let good = true;
  for (const type of types.length > 0 ? types : ["f32"]) {
    const gguf = makeFile(type);
    const answers = readPrompts().map((prompt) => ({ prompt, ours: askCarat(gguf, prompt) }));
    const longest = Math.max(...answers.map(({ ours }) => ours.tokens.length));
    if (longest < GREEDY) console.log(`no prompt gave ${GREEDY} tokens`);
    const exact = await compareFile(llama, type === "f32" ? gguf : quantized(gguf, "F32"), answers, type);
    good = good && longest === GREEDY && exact.tied && exact.worst < TOLERANCE;
    if (type === "f32") continue;
    const rounded = await compareFile(llama, gguf, answers, `${type}, activations of 8 bits in llama.cpp`);
    good = good && rounded.worst < ROUNDED_TOLERANCE;
  }
  return good;
}

function makeFile(type) {
  if (type === "q6_k") return quantized(makeFile("f32"), "Q6_K");
  const gguf = path.join(scratch, `${type}.gguf`);
  const scheme = type === "codes" ? ["--requantize"] : ["--scheme", type];
  execFileSync(carat, ["convert", folder, gguf, ...scheme], { stdio: ["ignore", "ignore", "inherit"] });
  return gguf;
}

function quantized(gguf, type) {
  const target = gguf.replace(/\.gguf$/, `.${type}.gguf`);
  const script = path.join(import.meta.dirname, "quantize_gguf.py");
  execFileSync("python3", [script, gguf, target, type], { stdio: "ignore" });
  return target;
}

async function compareFile(llama, gguf, answers, name) {
  const model = await llama.loadModel({ modelPath: gguf });
  let worst = 0;
  let tied = true;
  let parted = 0;
  for (const { prompt, ours } of answers) {
    const theirs = await askLlama(model, prompt, ours.tokens.length);
    const common = countCommon(ours, theirs, prompt.length);
    if (common.parts) ++parted;
    if (common.parts && !(common.gap < TIE)) tied = false;
    worst = Math.max(worst, largestDifference(ours, theirs.rows, prompt.length + common.length));
  }
  await model.dispose();
  console.log(`${folder} ${name}: largest logit difference to llama.cpp ${worst.toPrecision(3)}; greedy tokens ` +
    (parted === 0 ? "the same" : `part in ${parted} of ${answers.length} answers`));
  return { worst, tied };
}

/// How many tokens are the same before the first difference, and how far apart, in the program that finds them closer,
/// the logits of the two tokens are there.
function countCommon(ours, theirs, promptLength) {
  const length = ours.tokens.findIndex((token, index) => token !== theirs.tokens[index]);
  if (length < 0) return { parts: false, length: ours.tokens.length };
  const [found, expected] = [ours.tokens[length], theirs.tokens[length]];
  const row = promptLength - 1 + length;
  const ourGap = ours.logits[row * ours.columns + found] - ours.logits[row * ours.columns + expected];
  const theirGap = theirs.rows[row].get(expected) - theirs.rows[row].get(found);
  const gap = Math.min(Math.abs(ourGap), Math.abs(theirGap));
  console.log(`prompt of ${promptLength}: greedy token ${length} is ${found}, llama.cpp says ${expected}; ` +
    `their logits are ${gap.toPrecision(3)} apart`);
  return { parts: true, length, gap };
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

/// Over the first `positions`, as far as both fed them; infinite when a vocabulary has another size.
function largestDifference(ours, rows, positions) {
  const common = Math.min(ours.logits.length / ours.columns, rows.length, positions);
  if (rows[0].size !== ours.columns) return Infinity;
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
  for (const length of [3 * window + 1, window]) {
    const prompt = [bos];
    while (prompt.length < length) {
      state = (state * 6364136223846793005n + 1442695040888963407n) % (1n << 64n);
      prompt.push(Number((state >> 33n) % BigInt(vocabulary)));
    }
    prompts.push(prompt);
  }
  return prompts;
}
