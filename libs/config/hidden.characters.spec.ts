import { CONFIG_VARIABLES } from './config';
import { hiddenProblem } from './hidden.characters';

describe(hiddenProblem.name, () => {
  it.each([
    ['a no-break space', 'U+00A0', 'my\u00a0pictures'],
    ['a zero-width space', 'U+200B', '\u200bmy-pictures'],
    ['a byte-order mark', 'U+FEFF', '\ufeffmy-pictures'],
    ['a character', 'U+00AD', 'my\u00adpictures'],
    ['a character', 'U+202E', 'my-pictures\u202e'],
    ['a character', 'U+200D', 'my\u200dpictures'],
    ['a character', 'U+0000', 'my\u0000pictures'],
  ])('should find %s, %s', (what, code, value) =>
    expect(hiddenProblem('S3_BUCKET_NAME', value)).toBe(
      `S3_BUCKET_NAME must not hold ${what} (${code}), which cannot be seen: type the value anew`,
    ),
  );

  it.each(['demo ', ' demo', 'demo\r', 'demo\n', '\tdemo'])('should find the blanks around "%s"', (value) =>
    expect(hiddenProblem('MODEL_PATH', value)).toBe(
      'MODEL_PATH must not begin or end with a blank or a line break',
    ),
  );

  it.each(['"demo"', "'demo'", '`demo`', '\u201cdemo\u201d', '\u2018demo\u2019', '""', '"two\nlines"'])(
    'should find the quotes of %s',
    (value) =>
      expect(hiddenProblem('MODEL_PATH', value)).toBe(
        'MODEL_PATH must not be wrapped in quotes: they would be part of the value',
      ),
  );

  it.each([
    ['DATA_DIR', '~/data'],
    ['DATA_DIR', '~'],
    ['LORA_DIR', '$HOME/loras'],
    ['MODEL_PATH', '${MODELS}/model.safetensors'],
    ['HF_HOME', '~ann/.cache/huggingface'],
    ['DEMO_CACHE', '~/demo'],
    ['API_KEYS_FILE', '/home/$USER/keys.json'],
  ])('should find in %s=%s what nothing replaces', (name, value) => {
    expect(CONFIG_VARIABLES).toContain(name);
    expect(hiddenProblem(name, value)).toBe(`${name} must be written out: nothing replaces ~ or $NAME here`);
  });

  it.each([
    ['DATA_DIR', './~data'],
    ['DATA_DIR', '/data/5$'],
    ['LORA_DIR', '/PROGRA~1/loras'],
    ['SUBJECT_PROMPT', '~ $HOME'],
    ['S3_PATH_STYLE', 'true'],
    ['SUBJECT_PROMPT', 'a "portrait", 50 mm'],
    ['SUBJECT_PROMPT', 'a 👩‍🚀 in space'],
    ['NEGATIVE_PROMPT', 'ぼやけた　写真'],
    ['NEGATIVE_PROMPT', 'two\nlines'],
    ['API_KEYS', '[\n\t{}\n]\n'],
    ['URL_SECRET', 'ends with a quote"'],
    ['MODEL_PATH', '"'],
  ])('should let %s be %s', (name, value) => {
    expect(CONFIG_VARIABLES).toContain(name);
    expect(hiddenProblem(name, value)).toBeUndefined();
  });
});
