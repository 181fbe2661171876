/** What a task keeps of memory. Counterpart of include/linux/mm_types_task.h. */

/**
 * A page that is being filled: each part of it is held by who got it, the page by the frag too.
 * @kernel page_frag include/linux/mm_types_task.h
 */
export class PageFrag {
  /** Address; 0: none. */
  page: number;
  offset: number;
  size: number;

  constructor() {
    this.page = 0;
    this.offset = 0;
    this.size = 0;
  }
}
