// Runs one client against a server: `node driver.mjs MODULE:NAME URL CELL...`.
//
// It prints one line of JSON for each cell: what the client saw, or how it failed.

import process from 'node:process'

const SECONDS = 20 // how long one cell may take
const [client, url, ...cells] = process.argv.slice(2)
const [module, name] = client.split(':')
const made = (await import(`./${module}.mjs`))[name](url)

for (const cell of cells) {
  const outcome = await Promise.race([attempt(made[cell]), late()])
  process.stdout.write(JSON.stringify({ cell, ...outcome }) + '\n')
}
process.exit(0)

async function attempt(trial) {
  try {
    return { seen: await trial() }
  } catch (error) {
    return { failed: error.stack ?? String(error) }
  }
}

function late() {
  const failed = { failed: `it took longer than ${SECONDS} s` }
  return new Promise((resolve) => setTimeout(resolve, SECONDS * 1000, failed))
}
