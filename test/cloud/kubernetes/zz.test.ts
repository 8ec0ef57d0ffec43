import { expect, test } from 'vitest';
import { call, kubectl } from './client.ts';
import { startSmallWorld, REGISTRY, eventually } from './small-world.ts';
test('smoke', async () => {
  const w = await startSmallWorld();
  try {
    console.log(await kubectl(w, ['version']));
    console.log((await kubectl(w, ['get','nodes','-o','wide'])).out);
    console.log((await kubectl(w, ['create','ns','open-webui','-v=9'])).err.split('\n').filter(l=>/curl|Body/.test(l)).join('\n').slice(0,3000));console.log(await kubectl(w, ['apply','-f','-'], JSON.stringify({apiVersion:'v1',kind:'Namespace',metadata:{name:'open-webui'}})));
    const dep = {apiVersion:'apps/v1',kind:'Deployment',metadata:{name:'ollama'},spec:{replicas:2,selector:{matchLabels:{app:'o'}},template:{metadata:{labels:{app:'o'}},spec:{containers:[{name:'o',image:REGISTRY+'/ollama:v1',ports:[{containerPort:11434}],readinessProbe:{httpGet:{path:'/',port:11434}}}]}}}};
    console.log(await kubectl(w, ['apply','-f','-'], JSON.stringify(dep)));
    console.log(await kubectl(w, ['rollout','status','deployment/ollama','--timeout=20s']));
    for (const a of [['get','all','-o','wide'],['describe','deployment','ollama'],['describe','pods'],['get','events'],['scale','deployment/ollama','--replicas=3'],['rollout','restart','deployment/ollama'],['rollout','status','deployment/ollama','--timeout=20s'],['logs','deployment/ollama'],['annotate','deployment','ollama','a=b'],['get','deploy','ollama','-o','yaml'],['rollout','history','deployment/ollama'],['rollout','undo','deployment/ollama'],['get','sc'],['api-resources'],['delete','deployment','ollama'],['explain','pods'],['top','nodes']]) { const r = await kubectl(w,a); console.log('$',a.join(' '),r.code,'\n'+r.out.slice(0,3000),r.err.slice(0,800)); }
  } finally { await w.stop(); }
}, 120000);
