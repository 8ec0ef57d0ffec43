import type { Check } from '../check.ts';
import { aModelAnswers } from './a-model-answers.ts';
import { canAUserChat } from './can-a-user-chat.ts';

export const siteChecks: readonly Check[] = [aModelAnswers, canAUserChat];
