/** Files that the build takes in as text, and style sheets. */
declare module '*.yaml?raw' {
  const text: string;
  export default text;
}
declare module '*.md?raw' {
  const text: string;
  export default text;
}
declare module '*.css';
