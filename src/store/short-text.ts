/** The text, or its beginning and an ellipsis where it has more than `most` characters. */
export const shortText = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most - 1)}…`;
