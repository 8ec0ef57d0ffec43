/**
 * The sandbox's own certificate authority. Whoever trusts its certificate (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`,
 * `REQUESTS_CA_BUNDLE`) sees the clouds' real host names answer from this machine. The key never leaves the data
 * directory. Certificates are valid over any date the virtual clock can reasonably show: TLS looks at real time,
 * and expired certificates are not what the sandbox is about.
 */
// tsyringe, on which x509 stands, wants the metadata methods of Reflect.
import 'reflect-metadata';
import { createPrivateKey, randomBytes, type webcrypto } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import type { ServerCertificates } from './neighbours.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const NOT_BEFORE = new Date('2015-01-01T00:00:00Z');
const NOT_AFTER = new Date('2049-12-31T00:00:00Z');

export interface CertificateAuthority extends ServerCertificates {
  /** The file to trust. */
  readonly file: string;
  readonly pem: string;
}

/** Opens the authority kept in this directory, or founds it there. */
export async function openCertificateAuthority(directory: string): Promise<CertificateAuthority> {
  const file = join(directory, 'ca.pem');
  const keyFile = join(directory, 'ca.key');
  if (!existsSync(file) || !existsSync(keyFile)) {
    const founded = await foundAuthority();
    writeFileSync(keyFile, founded.keyPem, { mode: 0o600 });
    writeFileSync(file, founded.certPem);
  }
  const pem = readFileSync(file, 'utf8');
  const certificate = new x509.X509Certificate(pem);
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(readFileSync(keyFile)).export({ type: 'pkcs8', format: 'der' }),
    ALGORITHM,
    false,
    ['sign'],
  );
  return {
    file,
    pem,
    issueServerCertificate: async (hostNames) => {
      const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const issued = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: `CN=${hostNames[0]?.slice(0, 64) ?? 'nobody'}`,
        issuer: certificate.subject,
        notBefore: NOT_BEFORE,
        notAfter: NOT_AFTER,
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension(
            hostNames.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })),
          ),
          await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey),
        ],
      });
      return { certPem: issued.toString('pem'), keyPem: await toKeyPem(keys.privateKey) };
    },
  };
}

async function foundAuthority(): Promise<{ certPem: string; keyPem: string }> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=open-webui-control-plane sandbox,O=Not a real cloud',
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: certificate.toString('pem'), keyPem: await toKeyPem(keys.privateKey) };
}

/** Positive and without a leading zero byte, as DER wants it. */
function serialNumber(): string {
  return `4${randomBytes(16).toString('hex').slice(1)}`;
}

async function toKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();
}
