#!/usr/bin/env node
// How fast Carat and llama.cpp read a prompt and write, one after the other on this machine.
//
//     llama_cpp_speed.mjs CARAT CARAT_MODEL GGUF [PROMPT_TOKENS [NEW_TOKENS [THREADS]]]
//
// CARAT_MODEL is what Carat runs, GGUF what llama.cpp runs: the same file, or two models of one shape. Prints tokens a
// second and the ratio. llama.cpp is the prebuilt one of the npm package node-llama-cpp, looked for in the folder that
// CARAT_NODE_LLAMA_CPP names, else beside this file.

import { execFileSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [carat, caratModel, gguf, prompt = "512", written = "64", threads = String(os.cpus().length)] = process.argv.slice(2);
if (!gguf) {
  console.error("usage: llama_cpp_speed.mjs CARAT CARAT_MODEL GGUF [PROMPT_TOKENS [NEW_TOKENS [THREADS]]]");
  process.exit(2);
}
const ids = Array.from({ length: Number(prompt) }, (_, i) => (i === 0 ? 2 : 1000 + ((i * 7919) % 20000)));
const context = ids.length + Number(written) + 8;

const ours = await speedOfCarat();
const theirs = await speedOfLlama();
for (const what of ["prefill", "decode"]) {
  const ratio = (ours[what] / theirs[what]).toFixed(2);
  console.log(`${what}: carat ${ours[what].toFixed(2)}, llama.cpp ${theirs[what].toFixed(2)} tokens/s, ratio ${ratio}`);
}

async function speedOfCarat() {
  const options = ["--token-ids", ids.join(","), "-n", written, "-c", String(context), "-t", threads, "--temp", "0", "--json"];
  const bans = ["1", "50", "106"].flatMap((id) => ["--logit-bias", `${id}=-inf`]);
  const text = execFileSync(carat, ["run", "-m", caratModel, ...options, ...bans], {
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 26,
  });
  const answer = JSON.parse(text);
  return { prefill: answer.prefill_tokens_per_s, decode: answer.decode_tokens_per_s };
}

async function speedOfLlama() {
  const root = process.env.CARAT_NODE_LLAMA_CPP ?? import.meta.dirname;
  const entry = path.join(root, "node_modules", "node-llama-cpp", "dist", "index.js");
  const { getLlama } = await import(pathToFileURL(entry).href);
  const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: "error", maxThreads: Number(threads) });
  const model = await llama.loadModel({ modelPath: gguf });
  const session = await model.createContext({ contextSize: context, batchSize: 512, threads: Number(threads) });
  const sequence = session.getSequence();
  const warm = await sequence.controlledEvaluate([...ids.slice(0, 2), [ids[2], { generateNext: { token: true } }]]);
  await sequence.clearHistory();
  let begin = performance.now();
  const result = await sequence.controlledEvaluate([...ids.slice(0, -1), [ids.at(-1), { generateNext: { token: true } }]]);
  const prefill = ids.length / ((performance.now() - begin) / 1000);
  let next = result.at(-1).next.token ?? warm.at(-1).next.token;
  begin = performance.now();
  for (let i = 0; i < Number(written); ++i) {
    const step = await sequence.controlledEvaluate([[next, { generateNext: { token: true } }]]);
    next = step.at(-1).next.token;
  }
  return { prefill, decode: Number(written) / ((performance.now() - begin) / 1000) };
}
