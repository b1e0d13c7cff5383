// Codex CLI, over HTTP and over WebSockets: each cell is one or two calls of `codex exec`.

import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'

import { ANSWER, QUESTION, SUM } from './common.mjs'

const ENVIRONMENT = /<environment_context>[^]*<\/environment_context>, / // Codex says it first
const HOME = path.join(process.env.HOME, 'codex')
const PROGRAM = createRequire(import.meta.url).resolve('@openai/codex/bin/codex.js')

function cells(url, websockets) {
  const config = `
    model_provider = "agents"
    check_for_update_on_startup = false
    analytics.enabled = false
    [model_providers.agents]
    name = "agents"
    base_url = "${url}/v1"
    wire_api = "responses"
    supports_websockets = ${websockets}
    request_max_retries = 0
    stream_max_retries = 0`

  /** Runs `codex exec`; returns its events, and the text and the usage in them. */
  async function exec(model, prompt, { args = [], begun = () => {} } = {}) {
    await mkdir(HOME, { recursive: true })
    await writeFile(path.join(HOME, 'config.toml'), config)
    const options = ['exec', '--json', '--skip-git-repo-check', '--model', model]
    options.push('--dangerously-bypass-approvals-and-sandbox', ...args, prompt)
    const codex = spawn(process.execPath, [PROGRAM, ...options], {
      cwd: HOME,
      env: { ...process.env, CODEX_HOME: HOME },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 15_000,
    })
    begun(codex)
    const events = []
    for await (const line of createInterface(codex.stdout)) events.push(JSON.parse(line))
    const done = events.filter((event) => event.type === 'item.completed').map(({ item }) => item)
    const used = events.find((event) => event.type === 'turn.completed')?.usage
    return {
      events,
      done,
      text: done.findLast((item) => item.type === 'agent_message')?.text,
      usage: used && [used.input_tokens, used.output_tokens],
    }
  }

  async function told(model) {
    const { text, usage } = await exec(model, 'hello')
    return { text, usage }
  }

  async function error(model) {
    const { events } = await exec(model, 'x')
    return { message: events.find((event) => event.type === 'turn.failed').error.message }
  }

  return {
    text: () => told('text'),
    async own_tool() {
      const { text, done } = await exec('own_tool', 'How many lamps?')
      return { streamed: text, pending: done.filter((item) => item.type === 'command_execution').length }
    },
    async client_tool() {
      return { text: (await exec('client_tool', QUESTION)).text }
    },
    no_usage: () => told('no_usage'),
    async structured() {
      const file = path.join(HOME, 'schema.json')
      await writeFile(file, JSON.stringify(ANSWER))
      const { text } = await exec('structured', SUM, { args: ['--output-schema', file] })
      return JSON.parse(text)
    },
    async conversation() {
      const { events } = await exec('conversation', 'one')
      const args = ['resume', events[0].thread_id]
      const { text } = await exec('conversation', 'two', { args })
      return { text: text.replace(ENVIRONMENT, '') }
    },
    error_400: () => error('error_400'),
    error_404: () => error('nobody'),
    error_500: () => error('error_500'),
    async cancelled() {
      const begun = async (codex) => {
        while ((await (await fetch(`${url}/ping`)).json()).status !== 'HealthyBusy') {
          await setTimeout(20)
        }
        codex.kill('SIGINT')
      }
      return { text: (await exec('cancelled', 'x', { begun })).text ?? 'none' }
    },
    async calculator() {
      return { text: (await exec('calculator', '12 * (3 + 4)')).text }
    },
  }
}

export const http = (url) => cells(url, false)
export const websocket = (url) => cells(url, true)
