// Every text of the page, in both languages.

const KEY = "tandem:language";

const en = {
  language: "中文",
  tagline: "Messages for this page and for XMPP apps, in one place.",
  username: "Username",
  usernameHint: "3–32 of a–z, 0–9, dot, hyphen, underscore; begins with a letter",
  nickname: "Name that others see (optional)",
  password: "Password",
  passwordHint: "At least 8 characters",
  logIn: "Log in",
  register: "Create account",
  noAccount: "No account yet?",
  haveAccount: "Already have an account?",
  logOut: "Log out",
  loggedOutElsewhere: "You were logged out. Please log in again; what was not sent is still here.",
  unsentOnLogout: "{count} messages have not been sent and will be lost. Log out all the same?",
  conversations: "Conversations",
  noConversations: "No conversations yet. Start one with ✎.",
  chooseConversation: "Choose a conversation, or start one.",
  loading: "Loading…",
  older: "Loading older messages…",
  beginning: "This is where the conversation begins.",
  loadFailed: "Older messages cannot be loaded right now.",
  messages: "Messages",
  message: "Message",
  send: "Send",
  tooLong: "{count} characters too many",
  left: "{count} characters left",
  back: "Back to the conversations",
  close: "Close",
  notes: "Notes to myself",
  you: "You",
  today: "Today",
  yesterday: "Yesterday",
  queued: "waiting",
  sent: "sending…",
  stored: "sent",
  failed: "not sent: {reason}",
  resend: "Send again",
  discard: "Discard",
  unread: "{count} unread",
  media: "[{kind}]",
  media2: "article",
  media3: "voice",
  media4: "picture",
  media5: "red packet",
  media6: "emoji",
  media7: "link",
  media8: "video",
  media9: "contact card",
  media10: "file",
  mediaOther: "attachment",
  newChat: "New conversation",
  newGroup: "New group",
  search: "Find people by username or id",
  searchStart: "Type the beginning of a username, or an id.",
  nobody: "Nobody found.",
  groupName: "Name of the group",
  chosen: "Members",
  remove: "Remove {name}",
  create: "Create group",
  members: "Members",
  addMember: "Add a member",
  added: "{name} is in the group now.",
  leave: "Leave group",
  leaveSure: "Leave this group? You will not see its messages any more.",
  dissolve: "Dissolve group",
  dissolveSure: "Dissolve this group for everybody?",
  more: "Show more",
  owner: "owner",
  admin: "admin",
  member: "",
  xmppSummary: "Use an XMPP app as well",
  xmppText: "Log in to any XMPP app with this address and the same password:",
  connecting: "Connecting…",
  waiting: "No connection. Trying again soon.",
  tryNow: "Try now",
  replaced: "Too many connections: this page gave way to a newer one.",
  useHere: "Use it here",
  errorNetwork: "The server cannot be reached. Please check your connection.",
  errorPair: "Username and password do not match.",
  errorTaken: "This username is taken.",
  errorFields: "Please correct the marked fields.",
  errorUsername: "3–32 of a–z, 0–9, dot, hyphen, underscore, and a letter first.",
  errorPassword: "8 to 256 characters are needed.",
  errorMissing: "Please fill this in.",
  errorWait: "Too many attempts. Please wait {wait}.",
  errorClosed: "Nobody can register here at the moment.",
  errorBusy: "The server is too busy or its storage is away. Please try again in a moment.",
  errorOwner: "The owner cannot leave.",
  errorOther: "That did not work: {detail}",
  seconds: "{n} seconds",
  minutes: "{n} minutes",
  "reason.blocked": "you blocked this person",
  "reason.not-allowed": "this person does not take your messages",
  "reason.not-a-member": "you are not in this group",
  "reason.muted": "you are muted",
  "reason.no-such-user": "this person does not exist",
  "reason.too-long": "too long",
  "reason.bad-field": "it has characters that cannot be sent",
  "reason.other": "{slug}",
};

const zh = {
  language: "English",
  tagline: "本页与各种 XMPP 应用，同一份消息。",
  username: "用户名",
  usernameHint: "3–32 位，可用 a–z、0–9、点、连字符、下划线，以字母开头",
  nickname: "昵称（选填，别人会看到）",
  password: "密码",
  passwordHint: "至少 8 个字符",
  logIn: "登录",
  register: "注册",
  noAccount: "还没有账号？",
  haveAccount: "已经有账号？",
  logOut: "退出",
  loggedOutElsewhere: "登录已失效，请重新登录；尚未发出的消息仍然保留。",
  unsentOnLogout: "还有 {count} 条消息没有发出，退出后会丢失。仍要退出吗？",
  conversations: "会话",
  noConversations: "还没有会话，点 ✎ 开始聊天。",
  chooseConversation: "选择一个会话，或发起新的会话。",
  loading: "载入中…",
  older: "正在载入更早的消息…",
  beginning: "会话从这里开始。",
  loadFailed: "暂时无法载入更早的消息。",
  messages: "消息",
  message: "输入消息",
  send: "发送",
  tooLong: "超出 {count} 个字",
  left: "还可输入 {count} 个字",
  back: "返回会话列表",
  close: "关闭",
  notes: "给自己的备忘",
  you: "我",
  today: "今天",
  yesterday: "昨天",
  queued: "等待发送",
  sent: "发送中…",
  stored: "已发送",
  failed: "未发出：{reason}",
  resend: "重新发送",
  discard: "删除",
  unread: "{count} 条未读",
  media: "［{kind}］",
  media2: "图文",
  media3: "语音",
  media4: "图片",
  media5: "红包",
  media6: "表情",
  media7: "链接",
  media8: "视频",
  media9: "名片",
  media10: "文件",
  mediaOther: "附件",
  newChat: "发起会话",
  newGroup: "新建群组",
  search: "按用户名或编号查找",
  searchStart: "请输入用户名开头或编号。",
  nobody: "没有找到。",
  groupName: "群名称",
  chosen: "成员",
  remove: "移除{name}",
  create: "创建群组",
  members: "成员",
  addMember: "添加成员",
  added: "{name}已在群里。",
  leave: "退出群组",
  leaveSure: "确定退出？退出后看不到群里的消息。",
  dissolve: "解散群组",
  dissolveSure: "确定为所有人解散这个群组？",
  more: "显示更多",
  owner: "群主",
  admin: "管理员",
  member: "",
  xmppSummary: "也可使用 XMPP 应用",
  xmppText: "在任意 XMPP 应用中，用以下地址和同一密码登录：",
  connecting: "连接中…",
  waiting: "连接已断开，稍后重试。",
  tryNow: "立即重试",
  replaced: "连接数过多：本页已让位给更新的连接。",
  useHere: "在此使用",
  errorNetwork: "无法连接服务器，请检查网络。",
  errorPair: "用户名或密码不正确。",
  errorTaken: "这个用户名已被使用。",
  errorFields: "请修改标出的内容。",
  errorUsername: "须为 3–32 位 a–z、0–9、点、连字符、下划线，并以字母开头。",
  errorPassword: "须为 8 至 256 个字符。",
  errorMissing: "请填写。",
  errorWait: "尝试次数过多，请等待 {wait}。",
  errorClosed: "目前不开放注册。",
  errorBusy: "服务器繁忙或存储暂不可用，请稍后再试。",
  errorOwner: "群主不能退出群组。",
  errorOther: "操作未成功：{detail}",
  seconds: "{n} 秒",
  minutes: "{n} 分钟",
  "reason.blocked": "你已屏蔽对方",
  "reason.not-allowed": "对方不接收你的消息",
  "reason.not-a-member": "你不在这个群里",
  "reason.muted": "你已被禁言",
  "reason.no-such-user": "没有这个用户",
  "reason.too-long": "内容过长",
  "reason.bad-field": "含有无法发送的字符",
  "reason.other": "{slug}",
};

export const dictionaries = { en, zh };

/** `en` or `zh`: as chosen before, else the browser's. */
export let language = "en";

/** The text called `name`, with `{…}` replaced from `values`. */
export function t(name, values = {}) {
  const text = dictionaries[language][name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

export function startLanguage() {
  const preferred = localStorage.getItem(KEY) ?? navigator.language;
  show(preferred.startsWith("zh") ? "zh" : "en");
}

export function switchLanguage() {
  show(language === "en" ? "zh" : "en");
  localStorage.setItem(KEY, language);
}

/** Puts the texts into what has `data-i18n…` in the page. */
export function translate(root) {
  const fill = (attribute, put) => {
    const nodes = root.querySelectorAll(`[${attribute}]`);
    for (const node of nodes) put(node, t(node.getAttribute(attribute)));
  };
  fill("data-i18n", (node, text) => (node.textContent = text));
  fill("data-i18n-label", (node, text) => node.setAttribute("aria-label", text));
  fill("data-i18n-title", (node, text) => (node.title = text));
  fill("data-i18n-placeholder", (node, text) => (node.placeholder = text));
}

function show(chosen) {
  language = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  translate(document);
  document.dispatchEvent(new Event("language"));
}
