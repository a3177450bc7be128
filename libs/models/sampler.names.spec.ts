import {
  findSampler,
  findScheduler,
  SAMPLER_NAMES,
  SAMPLERS,
  SCHEDULER_NAMES,
  SCHEDULERS,
} from './sampler.names';

describe(findSampler.name, () => {
  it.each([
    ['euler_a', 'euler_a'],
    ['Euler a', 'euler_a'],
    ['EULER_ANCESTRAL', 'euler_a'],
    ['EulerAncestralDiscreteScheduler', 'euler_a'],
    ['DPM++ 2M', 'dpm++2m'],
    ['dpmpp_2m', 'dpm++2m'],
    ['DPM++ 2M SDE', 'dpm++2m_sde'],
    ['DPM++ 2S a', 'dpm++2s_a'],
    ['DDIM', 'ddim_trailing'],
    ['LCMScheduler', 'lcm'],
  ])('should know %s', (name, sampler) => expect(findSampler(name)).toEqual({ sampler }));

  it('should take both of a name that has the schedule in it', () => {
    expect(findSampler('DPM++ 2M Karras')).toEqual({ sampler: 'dpm++2m', scheduler: 'karras' });
    expect(findSampler('DPM++ 2M SDE Exponential')).toEqual({
      sampler: 'dpm++2m_sde',
      scheduler: 'exponential',
    });
  });

  it.each(['', 'UniPC', 'Euler b', 'Karras', ' Karras', 'UniPC Karras', 'constructor'])(
    'should know nothing of %p',
    (name) => expect(findSampler(name)).toBeUndefined(),
  );

  it('should find each by each of its names, which no other has', () => {
    for (const [sampler, others] of Object.entries(SAMPLERS))
      for (const name of [sampler, ...others]) expect([name, findSampler(name)]).toEqual([name, { sampler }]);
    for (const [scheduler, others] of Object.entries(SCHEDULERS))
      for (const name of [scheduler, ...others])
        expect([name, findScheduler(name)]).toEqual([name, scheduler]);
    for (const name of SAMPLER_NAMES) expect([name, findSampler(name)]).not.toContain(undefined);
    for (const name of SCHEDULER_NAMES) expect([name, findScheduler(name)]).not.toContain(undefined);
    expect(SAMPLER_NAMES).toEqual(expect.arrayContaining(['euler_a', 'Euler a', 'tcd', 'DPM++ 2M Karras']));
    expect(new Set(SAMPLER_NAMES).size).toBe(SAMPLER_NAMES.length);
    expect(new Set(SCHEDULER_NAMES).size).toBe(SCHEDULER_NAMES.length);
  });
});

describe(findScheduler.name, () => {
  it.each([
    ['Karras', 'karras'],
    ['Align Your Steps', 'ays'],
    ['SGM Uniform', 'sgm_uniform'],
    ['normal', 'discrete'],
  ])('should know %s', (name, scheduler) => expect(findScheduler(name)).toBe(scheduler));

  it.each(['', 'Polyexponential', 'toString'])('should know nothing of %p', (name) =>
    expect(findScheduler(name)).toBeUndefined(),
  );
});
