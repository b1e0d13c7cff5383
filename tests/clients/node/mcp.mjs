// The official MCP client, which speaks the protocol of 2025-11-25.

import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

import { thrown } from './common.mjs'

export function client(url) {
  async function use(trial) {
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)))
    try {
      return await trial(client)
    } finally {
      await client.close()
    }
  }

  const call = (name, args, options) =>
    use((client) => client.callTool({ name, arguments: args }, undefined, options))

  return {
    list: () => use(async (client) => (await client.listTools()).tools.map((tool) => tool.name)),
    async text() {
      const { content, structuredContent } = await call('speaker', { input: 'hello' })
      return { content, text: structuredContent.text }
    },
    async progress() {
      const steps = []
      const onprogress = ({ progress, message }) => steps.push([progress, message])
      const { content } = await call('worker', { input: 'x' }, { onprogress })
      return { content, steps }
    },
    async structured() {
      return (await call('adder', { a: 1, b: 2 })).structuredContent
    },
    async failed() {
      const { content, isError } = await call('breaker', { input: 'x' })
      return { content, isError }
    },
    async unknown() {
      const error = await thrown(() => call('nobody', { input: 'x' }))
      return { code: error.code }
    },
  }
}
