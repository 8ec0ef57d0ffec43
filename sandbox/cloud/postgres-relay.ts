/**
 * What stands at `<server>.postgres.database.azure.com:5432`: a client that has come through the proxy is spoken to in
 * PostgreSQL's own protocol until it has said who it is, over TLS with that server's certificate; from then on it talks
 * to the real PostgreSQL behind all simulated servers. There names of users and databases carry the server's name in
 * front, which the real server's own messages show.
 *
 * Channel binding (SCRAM-SHA-256-PLUS) does not get through, since TLS ends here: libpq has to be told
 * `channel_binding=disable`. https://www.postgresql.org/docs/18/protocol-flow.html
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type SecureContext, TLSSocket } from 'node:tls';

const SSL_REQUEST = 80_877_103;
const GSSENC_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;
/** No startup message of a client that means well is longer. */
const LONGEST_STARTUP = 10_000;

/** A server whose doors have been reached. */
export interface DatabaseDoor {
  /** Of the real PostgreSQL on 127.0.0.1, and the authority that has signed its certificate. */
  readonly port: number;
  readonly ca: string;
  readonly host: string;
  /** Whether it refuses clients that do not want TLS. */
  readonly requiresTls: boolean;
  /** Whether it lets anybody in by password. */
  readonly takesPasswords: boolean;
  /** What the server calls them. */
  namesOf(user: string, database: string): Promise<{ readonly user: string; readonly database: string }>;
}

/** Takes over the socket; a client that does not keep to the protocol is hung up on. */
export async function relayPostgres(
  socket: Duplex,
  secureContext: SecureContext,
  door: DatabaseDoor,
): Promise<void> {
  let client = socket;
  let message = await readMessage(client);
  for (;;) {
    const code = message.readInt32BE(4);
    if (code === GSSENC_REQUEST) client.write('N');
    else if (code === SSL_REQUEST && !(client instanceof TLSSocket)) {
      client.write('S');
      const secured = new TLSSocket(client as Socket, { isServer: true, secureContext });
      secured.on('error', () => secured.destroy());
      client = secured;
    } else break;
    message = await readMessage(client);
  }
  if (message.readInt32BE(4) !== CANCEL_REQUEST) {
    const parameters = readParameters(message);
    const { user = '', database = user } = parameters;
    if (door.requiresTls && !(client instanceof TLSSocket)) {
      return refuse(
        client,
        '28000',
        `no pg_hba.conf entry for host "10.0.0.0", user "${user}", database "${database}", no encryption`,
      );
    }
    if (!door.takesPasswords)
      return refuse(client, '28P01', `password authentication failed for user "${user}"`);
    message = startup(message.readInt32BE(4), { ...parameters, ...(await door.namesOf(user, database)) });
  }
  const server = await connectEngine(door);
  server.write(message);
  client.on('close', () => server.destroy());
  server.on('close', () => client.destroy());
  client.pipe(server).pipe(client);
}

/** A message before anything is agreed has a length and no type. */
async function readMessage(stream: Duplex): Promise<Buffer> {
  const head = await readBytes(stream, 4);
  const length = head.readInt32BE(0);
  if (length < 8 || length > LONGEST_STARTUP) throw new RangeError('this is not the protocol of PostgreSQL');
  return Buffer.concat([head, await readBytes(stream, length - 4)]);
}

async function readBytes(stream: Duplex, count: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = stream.read(count);
    if (bytes?.length === count) return bytes;
    // At its end a stream gives what is left.
    if (bytes !== null || stream.destroyed || stream.readableEnded) {
      throw new RangeError('the client has hung up');
    }
    await Promise.race([once(stream, 'readable'), once(stream, 'end'), once(stream, 'close')]);
  }
}

function readParameters(message: Buffer): Readonly<Record<string, string>> {
  const words = message.subarray(8).toString('utf8').split('\0');
  const parameters: Record<string, string> = {};
  for (let index = 0; index + 1 < words.length; index += 2) {
    const name = words[index];
    if (name) parameters[name] = words[index + 1] ?? '';
  }
  return parameters;
}

function startup(protocol: number, parameters: Readonly<Record<string, string>>): Buffer {
  const words = Object.entries(parameters).flat();
  const body = Buffer.from(`${words.map((word) => `${word}\0`).join('')}\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(protocol, 4);
  return Buffer.concat([head, body]);
}

function refuse(client: Duplex, code: string, text: string): void {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(4 + body.length, 1);
  client.end(Buffer.concat([head, body]));
}

/** The real server speaks to nobody without TLS. */
async function connectEngine({ port, ca, host }: DatabaseDoor): Promise<TLSSocket> {
  const plain = connectTcp(port, '127.0.0.1');
  plain.on('error', () => plain.destroy());
  await once(plain, 'connect');
  const request = Buffer.alloc(8);
  request.writeInt32BE(8, 0);
  request.writeInt32BE(SSL_REQUEST, 4);
  plain.write(request);
  await readBytes(plain, 1);
  const secured = connectTls({ socket: plain, ca, servername: host });
  await once(secured, 'secureConnect');
  secured.on('error', () => secured.destroy());
  return secured;
}
