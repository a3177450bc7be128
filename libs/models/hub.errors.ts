import { tellFailure } from '@app/errors';
import { tlsRemedy } from '@app/outbound';
import { ModelError } from './model.error';

/** What a reply of the hub says of itself: a status, and a code and a sentence in its headers. */
export interface HubAnswer {
  readonly status?: number;
  /** x-error-code: GatedRepo, RepoNotFound, RevisionNotFound, EntryNotFound. */
  readonly code?: string | null;
  /** x-error-message */
  readonly message?: string | null;
}

interface Circumstances {
  readonly hasToken: boolean;
  /** It was not HF_ENDPOINT itself that answered, but a host to which it redirected. */
  readonly elsewhere: boolean;
}

/** Why a request to the hub failed, and the variable that can help. `variable` is what asked for the file. */
export function hubError(
  error: unknown,
  answer: HubAnswer,
  variable: string,
  { hasToken, elsewhere }: Circumstances,
): ModelError {
  const cause = (error as Error | undefined)?.cause as
    { statusCode?: number; code?: string; message?: string } | undefined;
  const code = answer.status ?? cause?.statusCode;
  tellFailure({ of: 'hub', what: String(code ?? 'none') });
  const say = (sentence: string) => new ModelError(`${variable}: ${sentence}`, { cause: error });
  if ((code === 401 || code === 403) && elsewhere) {
    return say(
      `the host to which HF_ENDPOINT redirects refused (${code}). HF_TOKEN goes to HF_ENDPOINT alone: where that is a mirror ` +
        'and the repository is gated, set HF_ENDPOINT to the hub itself.',
    );
  }
  if (code === 401 && /invalid (?:credentials|username)|expired/i.test(answer.message ?? '')) {
    return say(
      'the hub does not know HF_TOKEN (any more): make a new one on its page, with the right to read.',
    );
  }
  if (answer.code === 'GatedRepo') {
    const what = hasToken
      ? 'accept its licence on its page, with the account of HF_TOKEN'
      : 'accept its licence on its page, and set HF_TOKEN to a token of that account';
    return say(`the repository is gated: ${what}.`);
  }
  if (answer.code === 'RevisionNotFound')
    return say('the repository has no such revision (branch, tag or commit).');
  if (answer.code === 'EntryNotFound') return say('the repository has no such file in this revision.');
  if (code === 401 || code === 403) {
    const what = hasToken
      ? 'HF_TOKEN has no access: accept the licence on its page with the account of the token'
      : 'set HF_TOKEN to a token that has access';
    return say(`the repository is private, gated or does not exist; ${what}.`);
  }
  if (code === 404) {
    return say(
      'the model hub has no such repository, revision or file. Expected a file, a folder, or a name as on the hub.',
    );
  }
  if (code === 429) {
    const what = hasToken
      ? 'wait some minutes'
      : 'wait some minutes, or set HF_TOKEN, with which it allows more';
    return say(
      `the model hub has had too many requests from here (429): ${what}. What is already downloaded is kept.`,
    );
  }
  const tls = tlsRemedy(cause?.code);
  if (tls) return say(`no safe connection to HF_ENDPOINT (${cause?.code}): ${tls}.`);
  const reason = code ? `it answered ${code}` : (cause?.code ?? 'no answer');
  return say(
    `the model hub could not be reached (${reason}). Check the network and HF_ENDPOINT, or name a local file; ` +
      'what is already downloaded is kept.',
  );
}
