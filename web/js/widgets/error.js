/** Something that a person can be told: `t(error.key)`. */
export class WidgetError extends Error {
  constructor(key, cause) {
    super(key, { cause });
    this.key = key;
  }
}
