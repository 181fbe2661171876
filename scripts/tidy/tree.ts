/** Reads the files of the repository, or of a planted copy, that the rules look at. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Source, scan } from './scan.ts';

export interface Tree {
  readonly root: string;
  readonly sources: readonly Source[];
  /** Every folder of src/, relative to the root, `src` itself included. */
  readonly folders: readonly string[];
}

const ROOTS = ['src', 'test', 'bench', 'scripts', 'examples'];

function walk(root: string, folder: string, files: string[], folders: string[]): void {
  folders.push(folder);
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && entry.name !== 'node_modules') walk(root, path, files, folders);
    else if (entry.isFile() && path.endsWith('.ts')) files.push(path);
  }
}

export function readTree(root: string): Tree {
  const files: string[] = [];
  const folders: string[] = [];
  for (const folder of ROOTS) {
    if (existsSync(join(root, folder))) walk(root, folder, files, folders);
  }
  return {
    root,
    sources: files.map((path) => scan(path, readFileSync(join(root, path), 'utf8'))),
    folders: folders.filter((folder) => folder === 'src' || folder.startsWith('src/')),
  };
}

export function readText(root: string, path: string): string | null {
  const full = join(root, path);
  return existsSync(full) ? readFileSync(full, 'utf8') : null;
}
