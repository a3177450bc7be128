import type { PictureRoute } from '@app/jobs';
import type { MaskRule } from '@app/pictures';
import type { ChoiceOptions } from './choice.option';
import type { IdentityOptions } from './identity';
import type { Look } from './style.dto';

/** A picture of a user, who may have several photos. */
export interface UserReference {
  readonly of: 'avatar' | 'photo';
  readonly userId: string;
}

/** What a route adds to the options that all of them share. */
export interface PictureIntent {
  readonly route: PictureRoute;
  readonly prompt: string;
  readonly userId?: string;
  readonly user?: string;
  /** Whose prompt it is, and whose options are taken where the request has none. */
  readonly look?: Look;
  /** Which method has the picture to draw from; absent: the IP-Adapter. */
  readonly identity?: IdentityOptions;
  /** Which of several is the answer; absent: one is drawn. */
  readonly choice?: ChoiceOptions;
  /** The picture to draw from, stored, at an address, or itself; absent: none. */
  readonly reference?: UserReference | { readonly url: string | Buffer };
  /** Absent: that of our own routes. */
  readonly maskRule?: MaskRule;
}
