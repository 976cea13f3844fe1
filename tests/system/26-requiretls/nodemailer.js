// Sends one message with REQUIRETLS by nodemailer: PORT CA-FILE SENDER RECIPIENT.
"use strict";
const fs = require("fs");
const nodemailer = require("nodemailer");
const [port, ca, from, to] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(port),
  requireTLS: true,
  tls: { ca: fs.readFileSync(ca), servername: "mx.ours.example" },
});
transport
  .sendMail({ from, to, subject: "from nodemailer", text: "A line.", requireTLSExtensionEnabled: true })
  .then((info) => console.log(info.response))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
