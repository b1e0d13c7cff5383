// The page stays at its end while it grows, unless the user has scrolled up.

const NEAR = 80; // pixels
let atEnd = true;

export function toEnd() {
  scrollTo(0, document.documentElement.scrollHeight);
}

export function stay() {
  if (atEnd) toEnd();
}

addEventListener("scroll", () => (atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - NEAR));
