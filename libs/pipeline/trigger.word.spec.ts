import { withTrigger } from './trigger.word';

describe(withTrigger.name, () => {
  it.each([
    ['a woman on a beach', 'a woman img on a beach'],
    ['Portrait of a Man, smiling', 'Portrait of a Man img, smiling'],
    ['photo of a (person:1.2)', 'photo of a (person img:1.2)'],
    ['a girl and a boy', 'a girl img and a boy'],
    ['a woman img, reading', 'a woman img, reading'],
    ['professional portrait photo, soft light', 'a person img, professional portrait photo, soft light'],
    ['a mannequin, a womanly shape', 'a person img, a mannequin, a womanly shape'],
    ['an img of a woman', 'an image of a woman img'],
    ['IMG_1234, a boy', 'image_1234, a boy img'],
    ['a man img and another img', 'a man img and another image'],
    ['a castle BREAK a man', 'a person img, a castle BREAK a man'],
    [`${'very '.repeat(60)}old man`, `a person img, ${'very '.repeat(60)}old man`],
  ])('should read %j as %j', (prompt, expected) => expect(withTrigger(prompt)).toBe(expected));
});
