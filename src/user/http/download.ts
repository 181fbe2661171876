/*
 * Fetches a file and takes its SHA-256 on the way, to be compared with the one that the server announces.
 */
import { hexDigest, Sha256 } from '#lib/sha256.ts';
import { httpRequest, parseUrl } from '#user/lib/http_client.ts';
import type { Process } from '#user/lib/process.ts';

export interface Downloaded {
  readonly bytes: number;
  /** Of what arrived, in hexadecimal. */
  readonly sha256: string;
  /** What the server says it sent; empty when it says nothing. */
  readonly expectedSha256: string;
}

/**
 * @param onProgress called with the bytes that have arrived so far
 * @throws RangeError for a URL that is none, Error for a status that is not 200
 */
export async function download(
  p: Process,
  text: string,
  onProgress: (bytes: number) => void = () => {},
): Promise<Downloaded> {
  const url = parseUrl(text);
  if (url === null) throw new RangeError(`${text}: not a URL that can be fetched`);
  const response = await httpRequest(p, url, { headers: { Accept: '*/*' } });
  try {
    if (response.status !== 200) {
      throw new Error(`${text}: the server says ${response.status} ${response.reason}`);
    }
    const hash = new Sha256();
    let bytes = 0;
    for await (const piece of response.body) {
      hash.update(piece);
      bytes += piece.length;
      onProgress(bytes);
    }
    return {
      bytes,
      sha256: hexDigest(hash.digest()),
      expectedSha256: response.headers.get('x-sha256') ?? '',
    };
  } finally {
    response.close();
  }
}
