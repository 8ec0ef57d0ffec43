import { app } from '@azure/functions';

app.get('same', { handler: () => ({}) });
app.get('Same', { handler: () => ({}) });
