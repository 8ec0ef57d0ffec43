import { describe, expect, test } from 'vitest';
import { parseRoute, RouteTemplateError } from '../../sandbox/host/http-route.ts';

describe('route templates', () => {
  test.each([
    { template: 'a/b', path: 'A/B', gives: {} },
    { template: 'a/b', path: 'a/c', gives: undefined },
    { template: '', path: '', gives: {} },
    {
      template: '{id:guid}',
      path: '3f2504e0-4f89-11d3-9a0c-0305e82c3301',
      gives: { id: '3f2504e0-4f89-11d3-9a0c-0305e82c3301' },
    },
    { template: '{id:guid}', path: 'x', gives: undefined },
    { template: '{id:int?}', path: '', gives: {} },
    { template: '{id:int?}', path: 'x', gives: undefined },
    { template: '{id:min(5)}', path: '4', gives: undefined },
    { template: '{id:int:range(1,9)}', path: '9', gives: { id: '9' } },
    { template: '{id:alpha:length(2,3)}', path: 'abc', gives: { id: 'abc' } },
    { template: '{id:alpha:length(2,3)}', path: 'abcd', gives: undefined },
    { template: '{id:regex(^\\d{{2}}$)}', path: '12', gives: { id: '12' } },
    { template: '{id=7}', path: '', gives: { id: '7' } },
    { template: 'v/{name}.{ext}', path: 'v/photo.png', gives: { name: 'photo', ext: 'png' } },
    { template: 'x/{*rest}', path: 'x/a%2Fb/c', gives: { rest: 'a/b/c' } },
    { template: '{flag:bool}', path: 'TRUE', gives: { flag: 'TRUE' } },
  ])('$template against "$path"', ({ template, path, gives }) => {
    expect(parseRoute(template).match(path)).toEqual(gives);
  });

  test.each(['{id:nonsense}', '{*rest}/after'])('refuses %s', (template) => {
    expect(() => parseRoute(template)).toThrow(RouteTemplateError);
  });
});
