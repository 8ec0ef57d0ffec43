import { app } from '@azure/functions';

app.hook.appStart(() => console.log('appStart ran'));
app.hook.appTerminate(() => console.log('appTerminate ran'));
app.hook.preInvocation((context) => {
  if (context.invocationContext.functionName !== 'hooked') return;
  context.hookData.from = 'preInvocation';
  const handler = context.functionHandler;
  context.functionHandler = (request, invocation) => {
    invocation.seen = 'hooked';
    return handler(request, invocation);
  };
});
app.hook.postInvocation((context) => {
  if (context.invocationContext.functionName !== 'hooked') return;
  context.result = { ...context.result, headers: { 'x-hook': context.hookData.from } };
});
