/** The lessons of docs/lessons, in order. */
import deepDive from '../../../../docs/lessons/deep-dive.md?raw';
import practitioner from '../../../../docs/lessons/practitioner.md?raw';
import questions from '../../../../docs/lessons/questions.md?raw';
import source from '../../../../docs/lessons/source.md?raw';
import story from '../../../../docs/lessons/story.md?raw';
import student from '../../../../docs/lessons/student.md?raw';

export interface Lesson {
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

export const LESSONS: readonly Lesson[] = [
  { id: 'story', title: 'The story', text: story },
  { id: 'student', title: 'Student', text: student },
  { id: 'practitioner', title: 'Practitioner', text: practitioner },
  { id: 'deep-dive', title: 'Deep dive', text: deepDive },
  { id: 'source', title: 'Source', text: source },
  { id: 'questions', title: 'Questions', text: questions },
];
