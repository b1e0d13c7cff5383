import { Chat } from '@ai-sdk/react'
import { DefaultChatTransport } from 'ai'

const transport = new DefaultChatTransport({ api: 'http://127.0.0.1:8000/api/chat' })
const chat = new Chat({ transport })

await chat.sendMessage({ text: 'What is 12 * (3 + 4)?' })
for (const part of chat.lastMessage.parts) console.log(part)
