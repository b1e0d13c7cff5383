// What the clients have in common: a tool, and the report of an error.

export const DEGREES = { Paris: '24 degrees', Rome: '30 degrees' }
export const QUESTION = 'What is the weather in Paris and in Rome?'
export const SUM = 'What is 12 * (3 + 4)?'
export const CITY = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}
export const WEATHER = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: CITY,
  strict: true,
}
export const ANSWER = {
  type: 'object',
  properties: { answer: { type: 'integer' } },
  required: ['answer'],
  additionalProperties: false,
}

/** Returns the error that a function throws. */
export async function thrown(trial) {
  try {
    await trial()
  } catch (error) {
    return error
  }
  throw new Error('It should have failed.')
}

/** Returns the outputs of the client's tool for its calls in a response. */
export const outputs = (calls) =>
  calls.map((call) => ({
    type: 'function_call_output',
    call_id: call.call_id,
    output: DEGREES[JSON.parse(call.arguments).city],
  }))

/** Returns the calls that a client is asked to answer. */
export const pending = (response) => response.output.filter((item) => item.type === 'function_call')

export const usage = (response) =>
  response.usage && [response.usage.input_tokens, response.usage.output_tokens]

/** Asks for a mail, and returns what the agent says once the client has approved it or not. */
export async function answered(create, approve) {
  const asked = await create('approval', 'Write to Ann.')
  const answer = {
    type: 'mcp_approval_response',
    approval_request_id: asked.output.at(-1).id,
    approve,
  }
  const done = await create('approval', [answer], { previous_response_id: asked.id })
  return done.output_text
}
