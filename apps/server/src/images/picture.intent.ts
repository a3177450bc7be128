import type { PictureRoute } from '@app/jobs';
import type { UserPicture } from '../users/user.pictures';
import type { ChoiceOptions } from './choice.option';
import type { IdentityOptions } from './identity';
import type { Style } from './style.dto';

/** What a route adds to the options that all of them share. */
export interface PictureIntent {
  readonly route: PictureRoute;
  readonly prompt: string;
  readonly userId?: string;
  readonly user?: string;
  /** Whose prompt it is, and whose options are taken where the request has none. */
  readonly style?: Style;
  /** Which method has the picture to draw from; absent: the IP-Adapter. */
  readonly identity?: IdentityOptions;
  /** Which of several is the answer; absent: one is drawn. */
  readonly choice?: ChoiceOptions;
  /** The picture to draw from, stored, at an address, or itself; absent: none. */
  readonly reference?:
    { readonly of: UserPicture; readonly userId: string } | { readonly url: string | Buffer };
}
