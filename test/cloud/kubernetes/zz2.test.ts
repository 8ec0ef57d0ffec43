import { test } from 'vitest';
import { call } from './client.ts';
import { startSmallWorld, REGISTRY } from './small-world.ts';
import { ObjectStore } from '../../../sandbox/cloud/kubernetes/api/object-store.ts';
test('smoke', async () => {
  const counts = new Map<string, number>(); const last = new Map<string,string>();
  const C = (await import('../../../sandbox/cloud/kubernetes/controllers/kubelet.ts')).Kubelet; const rec = C.prototype.reconcile; let t0=0; C.prototype.reconcile = function(c){ const t=performance.now(); rec.call(this,c); t0++; const d=performance.now()-t; if(d>20) console.log('kubelet',d)};
  const put = ObjectStore.prototype.put;
  ObjectStore.prototype.put = function (r, o) { const k = r + ' ' + o.metadata.name; counts.set(k, (counts.get(k) ?? 0) + 1); if (counts.get(k)! > 20 && counts.get(k)! < 24) void (k, JSON.stringify(o).slice(0,3000)); return put.call(this, r, o); };
  const w = await startSmallWorld({speed: 1000});
  try {
    await call(w,'POST','/api/v1/namespaces',{body:{metadata:{name:'open-webui'}}});
    const dep = {apiVersion:'apps/v1',kind:'Deployment',metadata:{name:'ollama'},spec:{replicas:2,selector:{matchLabels:{app:'o'}},template:{metadata:{labels:{app:'o'}},spec:{containers:[{name:'o',image:REGISTRY+'/ollama:v1',ports:[{containerPort:11434}],readinessProbe:{httpGet:{path:'/',port:11434}}}]}}}};
    console.log((await call(w,'POST','/apis/apps/v1/namespaces/open-webui/deployments',{body:dep})).status);
    await new Promise(r=>setTimeout(r,4000));
    console.log((await call(w,'GET','/apis/apps/v1/namespaces/open-webui/deployments/ollama')).body.status);
    console.log(t0, [...counts].sort((a,b)=>b[1]-a[1]).slice(0,20));
  } finally { await w.stop(); }
}, 120000);
