/** What surrounds a resource when nobody asked for a rotation and no image has failed yet. */
import { noWishes, type QuarantinedImage, type Scope } from '../../src/resources/scope.ts';

export function surroundings(rotateAfter: Scope['rotateAfter'] = {}): Pick<
  Scope,
  'rotateAfter' | 'quarantine' | 'wishes'
> & {
  readonly quarantined: Omit<QuarantinedImage, 'since'>[];
} {
  const quarantined: Omit<QuarantinedImage, 'since'>[] = [];
  return {
    rotateAfter,
    wishes: noWishes,
    quarantined,
    quarantine: {
      has: (digest) => quarantined.some((image) => image.digest === digest),
      of: (wanted) => quarantined.filter(({ repository }) => repository === wanted),
      add: async (image) => {
        if (!quarantined.some(({ digest }) => digest === image.digest)) quarantined.push(image);
      },
    },
  };
}
