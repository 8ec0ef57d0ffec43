import type { Check } from '../check.ts';
import { canAUserChat } from './can-a-user-chat.ts';

export const siteChecks: readonly Check[] = [canAUserChat];
