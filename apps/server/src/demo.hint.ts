/** What to try first, printed by `npm run demo` once the model is loaded. */
export const demoHint = (url: string): string => `
The demo is ready: ${url} (API docs: ${url}/docs). It draws emoji on coloured backgrounds. Try:

  curl -s ${url}/v1/images/generations -H 'content-type: application/json' \\
    -d '{"prompt": "a fox on a blue background"}'

and open the address in the reply's data[0].url. Ctrl-C stops the service.

`;
