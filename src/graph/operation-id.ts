/** `20261123T184501-7f3a9c21`: sorts by time and is safe in URLs and table keys. */
export const operationId = (isoTime: string, eightHexDigits: string): string =>
  `${isoTime.replaceAll(/[-:]/g, '').slice(0, 15)}-${eightHexDigits}`;
