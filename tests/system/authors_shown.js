// What npm's mailparser and postal-mime show as the author of messages: reads base64 lines, writes one JSON line for each.
"use strict";
const { createRequire } = require("module");
const path = require("path");
const from = createRequire(path.join(process.argv[2], "x.js"));
const { simpleParser } = from("mailparser");
const postal = from("postal-mime");
const PostalMime = postal.default || postal;
const readline = require("readline");

// Groups are shown by their members.
function addresses(list, out) {
  for (const one of list || []) {
    if (one.group) addresses(one.group, out);
    else if (one.address) out.push(one.address);
  }
  return out;
}

async function shown(message) {
  const made = {};
  try {
    const parsed = await simpleParser(message);
    const value = parsed.from ? (Array.isArray(parsed.from) ? parsed.from : [parsed.from]).flatMap((one) => one.value) : [];
    made.mailparser = addresses(value, []);
  } catch (error) {
    made.mailparser = [`error: ${error.message}`];
  }
  try {
    const parsed = await new PostalMime().parse(message);
    made.postal = addresses(parsed.from ? [parsed.from] : [], []);
  } catch (error) {
    made.postal = [`error: ${error.message}`];
  }
  return made;
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await shown(Buffer.from(line, "base64"))) + "\n");
  }
})();
