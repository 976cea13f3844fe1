// Takes mail by smtp-server, and writes what MAIL and RCPT said: PORT CERTIFICATE KEY yes|no (offers REQUIRETLS) LOG.
"use strict";
const fs = require("fs");
const { SMTPServer } = require("smtp-server");
const [port, certificate, key, offers, log] = process.argv.slice(2);
const server = new SMTPServer({
  key: fs.readFileSync(key),
  cert: fs.readFileSync(certificate),
  authOptional: true,
  hideREQUIRETLS: offers !== "yes",
  onData(stream, session, callback) {
    stream.resume();
    stream.on("end", () => {
      fs.appendFileSync(log, JSON.stringify(session.envelope) + "\n");
      callback();
    });
  },
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
