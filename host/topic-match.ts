const MOST_REMEMBERED = 10_000;
const remembered = new Map<string, Map<string, boolean>>();

/** As `matches`; the answer is kept, since the same few topics are asked about for ever. */
export function topicMatches(filter: string, topic: string): boolean {
  let byTopic = remembered.get(filter);
  if (byTopic === undefined) {
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    byTopic = new Map();
    remembered.set(filter, byTopic);
  }
  let answer = byTopic.get(topic);
  if (answer === undefined) {
    if (byTopic.size >= MOST_REMEMBERED) byTopic.clear();
    answer = matches(filter, topic);
    byTopic.set(topic, answer);
  }
  return answer;
}

/** Whether an MQTT topic is in a filter: `+` stands for one level, `#` at the end for any number, `$…` only for itself. */
function matches(filter: string, topic: string): boolean {
  if (filter === topic) return true;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  if (topic.startsWith('$') && wanted[0] !== levels[0]) return false;
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return index === wanted.length - 1;
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}
