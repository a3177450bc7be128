/** What to try first, logged by `npm run demo` once the model is loaded: in paragraphs for a person at a terminal. */
export function demoHint(url: string, { keys = false, forPerson = false } = {}): string {
  const ready = `The demo is ready: ${url} (API docs: ${url}/docs). It draws emoji on coloured backgrounds.`;
  const curl = `curl -s ${url}/v1/images/generations -H 'content-type: application/json'${keys ? " -H 'authorization: Bearer YOUR_KEY'" : ''}`;
  const body = `-d '{"prompt": "a fox on a blue background"}'`;
  if (!forPerson) return `${ready} Try: ${curl} ${body}`;
  return `${ready} Try:

  ${curl} \\
    ${body}

and open the address in the reply's data[0].url. Ctrl-C stops the service.
`;
}
