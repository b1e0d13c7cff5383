"""The UI message stream of Vercel's AI SDK: the protocol of `useChat`."""
