// JSON as it was sent, indented: every token stays as it is, so that no number is ever written anew.
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+|\s+/gsy;
const INDENT = "  ";

// The tokens with the white space that belongs between them, as [kind, text]; null where the text is no JSON.
export function indented(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const tokens = (text.match(TOKEN) ?? []).filter((token) => token.trim());
  const parts = [];
  let depth = 0;
  const line = () => parts.push(["space", "\n" + INDENT.repeat(depth)]);
  tokens.forEach((token, place) => {
    const next = tokens[place + 1];
    if (token === "{" || token === "[") {
      parts.push(["sign", token]);
      depth += 1;
      if (next !== "}" && next !== "]") line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const before = tokens[place - 1];
      if (before !== "{" && before !== "[") line();
      parts.push(["sign", token]);
    } else if (token === ",") {
      parts.push(["sign", token]);
      line();
    } else if (token === ":") {
      parts.push(["sign", ": "]);
    } else {
      parts.push([kindOf(token, next), token]);
    }
  });
  return parts;
}

function kindOf(token, next) {
  if (token[0] === '"') return next === ":" ? "key" : "string";
  return /[-\d]/.test(token[0]) ? "number" : "word";
}
