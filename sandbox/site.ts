/** What the sandbox's control door says of the public site: its answer and, link by link, why. */
import { z } from 'zod';

const siteSchema = z.object({
  url: z.string(),
  status: z.number().nullable(),
  ok: z.boolean(),
  broken: z.string().nullable(),
  links: z.array(z.object({ name: z.string(), ok: z.boolean(), why: z.string() })),
});

export type Site = z.output<typeof siteSchema>;

/** `door` is the control door's address. */
export async function lookAtSite(door: string): Promise<Site> {
  const answer = await fetch(`${door}/site`);
  if (!answer.ok) throw new Error(`the sandbox's /site answered ${answer.status}`);
  return siteSchema.parse(await answer.json());
}
