#!/usr/bin/env python3
"""Writes wordings.def from the project's own lists below. Run it in this folder's parent; the result is checked in.
LIGHT: what questions put around their subject. SAME: a line is words that may stand for each other; verbs behind a
star get their English endings."""
import textwrap

LIGHT = """
a an the of to in on for at by with as is are was were am be been being do does did done doing have has had having
i i'm i'd i've i'll me my mine we our you your yours u it its it's that this these those there there's can could
would will shall may might should must so and or just please how how's what what's whats which who who's whom whose
when where where's why if whether get gets getting got some any one someone somebody something anyone anybody guys let
really actually truly indeed exactly somehow basically simply ever still also too very quite much well then not no
isn't aren't wasn't weren't don't doesn't didn't can't cannot couldn't won't wouldn't shouldn't haven't hasn't hadn't
dont doesnt didnt cant couldnt wont isnt wasnt havent hasnt unable never
hi hello hey thanks explain describe define mean means meaning meant definition explanation explained know tell
wondering understand
in_fact want_to need_to have_to has_to would_like_to i'd_like_to like_to trying_to try_to going_to able_to possible_to
possible good_way_to best_way best_way_to way_to ways_to way ways steps_to steps_for how_to how_come go_about
right_way what_kind_of sort_of kind_of a_lot of_the is_there are_there what_should_i_do what_do_i_do what_to_do
do_you_know can_you could_you tell_me_about tell_me give_me help_me the_word the_term i_want i_need i_would_like
each_other out_there
的 了 嗎 吗 呢 吧 啊 呀 喔 哦 著 就 都 也 還 还 很 才 是 有 在 會 会 要 想 想要 該 该 應該 应该 應 应 需要 必須 必须 可以 能 能夠 能够 可
讓 让 給 给 把 被 由 到 去 對 对 和 跟 與 与 及 以及 或 於 于 以 之 其 所 而 一下 請 请 請問 请问 麻煩 麻烦 我 你 您 我們 我们 你們 你们
這 这 那 這個 这个 那個 那个 個 个 種 种 位 座 隻 只 上 裡 裏 時 时 時候 时候 的時候 的时候
不 沒 没 無 无 未 別 别 非 沒有 没有 是否 能不能 可不可以 會不會 会不会 是不是 有沒有 有没有 能否 可否 需不需要 要不要
什麼 什么 甚麼 啥 怎麼 怎么 怎樣 怎样 如何 哪 哪個 哪个 哪些 哪裡 哪里 哪裏 哪兒 哪儿 何處 何处 哪一 哪一個 哪一个 哪位 何 何人 誰 谁
幾點 几点 它 它們 它们 什麼樣 什么样 什麼樣的 什么样的 什麼人 什么人 什麼地方 什么地方 什麼時候 什么时候 何時 何时 何年 何地 哪一年 哪年 幾時 多少 幾 几 為什麼 为什么 為何 为何
何謂 何谓 什麼叫 什么叫 什麼叫做 什么叫做 意思 定義 定义 含義 含义 解釋 解释 說明 说明 介紹 介绍 告訴 告诉 知道 想知道
方法 辦法 办法 方式 步驟 步骤 流程 到底 究竟 其實 其实 真的 好 比較 比较 更 最好 東西 东西 問題 问题 因 因為 因为 由於 由于 使 位於 位于
如果 若 假如 的話 的话 稱為 称为 叫做 稱作 称作 被稱為 被称为 用 來 来 做
"""
SAME = """
*buy bought *purchase
begin begins began beginning *start *commence
big large
biggest largest
small little
fast quick rapid quickly rapidly
fastest quickest
film films movie movies
picture pictures photo photos photograph photographs pic pics image images
cost costs price prices
fee fees charge charges
*fix *repair
find finds finding found *locate
problem problems issue issues trouble
car cars automobile automobiles
phone phones telephone telephones smartphone smartphones cellphone cellphones cell_phone mobile_phone
doctor doctors physician physicians
kid kids child children
job jobs occupation occupations
store stores shop shops
*end *finish
author authors writer writers
country countries nation nations
answer answers reply replies response responses
choose chooses choosing chose *select *pick
*delete *remove *erase get_rid_of
make makes making made *create
*show *display
tv television
us usa u.s. united_states united_states_of_america america
uk united_kingdom great_britain britain
wwii world_war_ii world_war_2 second_world_war
wwi world_war_i world_war_1 first_world_war
wifi wi-fi
email emails e-mail e-mails
ai artificial_intelligence
app apps application applications
db database
info information
benefit benefits advantage advantages beneficial
disadvantage disadvantages drawback drawbacks
cause causes reason reasons
abroad overseas internationally
safe safely
smart intelligent clever
happy glad joyful
scared afraid frightened
thankful grateful
rich wealthy
important significant
hard difficult
easy simple
jail prison
*happen *occur take_place takes_place took_place
build builds building built *construct
lawyer lawyers attorney attorneys
vacation vacations holiday holidays
trip trips journey journeys
bike bikes bicycle bicycles
plane planes airplane airplanes aeroplane aeroplanes
check checks cheque cheques
licence license
*use *utilize *utilise
*obtain *acquire
*contact *reach get_in_touch_with
customer_service customer_support
log_in login sign_in log_into sign_into logging_in signing_in
log_out logout sign_out
turn_on *enable *activate switch_on turning_on
turn_off *disable *deactivate switch_off turning_off
mom mum mother
dad father
grandma grandmother
grandpa grandfather
fridge refrigerator
ad ads advert advertisement advertisements
sick ill
trash garbage rubbish
autumn in_the_fall
math maths mathematics
maximum max
minimum min
config configuration
k8s kubernetes
postgres postgresql
2fa two-factor_authentication two_factor_authentication
topup top-up top_up topping_up topping-up topped_up
symptom symptoms sign signs
nearest closest
pharmacy pharmacies drugstore drugstores
die dies died dying death
lifespan life_span
買 购买 購買 买
修改 更改 變更 变更 改
刪除 删除 移除 刪掉 删掉
建立 創建 创建
重設 重设 重置
查詢 查询 查 查看
申請 申请 辦理 办理 辦 办 申辦
遺失 遗失 弄丟 弄丢 丟了 丢了 掉了 不見了 不见了
聯絡 联络 聯繫 联系 聯系
價格 价格 價錢 价钱 多少錢 多少钱 費用 费用
好處 好处 優點 优点 益處 益处
壞處 坏处 缺點 缺点
差別 差别 不同 區別 区别 差異 差异
原因 成因 理由
症狀 症状 徵兆 征兆
去世 逝世 過世 过世
成立 創立 创立 設立 设立 創辦 创办
建造 興建 兴建 建成 蓋好 盖好
擔任 担任 出任
名稱 名称 名字
著名 知名 有名
腳踏車 脚踏车 自行車 自行车 單車 单车
手機 手机
電腦 电脑 計算機 计算机
筆電 笔电 筆記型電腦 笔记本电脑 筆記本電腦
軟體 軟件 软件
硬體 硬件
影片 視頻 视频
螢幕 屏幕
網路 網絡 网络
列印 打印
預設 默認 默认
記憶體 內存 内存
程式 程序
資料庫 數據庫 数据库
滑鼠 鼠標 鼠标
伺服器 服務器 服务器
使用者 用戶 用户
帳號 賬號 账号 帐号
身分證 身份證 身份证
計程車 出租車 出租车
冷氣 空調 空调
公車 公交車 公交车
小孩 孩子 小朋友
媽媽 妈妈 母親 母亲
爸爸 父親 父亲
太太 妻子 老婆
老公 丈夫
醫生 医生 醫師 医师
藥局 藥房 药房
怎麼辦 怎么办 如何處理 如何处理 怎麼處理 怎么处理
之前 以前 前
之後 之后 以後 以后 後 后
台灣 臺灣 台湾
貓咪 貓 猫 猫咪
歌曲 歌
獲得 获得 取得
協助 协助 幫助 帮助
全世界 全球 世界
通膨 通貨膨脹 通货膨胀
忘記 忘记 忘了
購物 购物
破掉 破了 破 碎了 碎
失眠 睡不著 睡不着
藍色 蓝色 藍 蓝
居住 住
製造 制造 生產 生产
大約 大约 約 约
死亡 死
離開 离开 離去 离去
遭到 遭 受到
發現 发现 找到
使用 利用 運用 运用
"""


def spaced(word):
    return word.replace("_", " ")


def forms(word):
    """A regular verb's endings."""
    stem = word[:-1] if word.endswith("e") else word
    third = word + ("es" if word.endswith(("s", "sh", "ch", "x")) else "s")
    return [word, third, stem + "ed", stem + "ing"]


rows = {spaced(word): "" for word in LIGHT.split()}
for line in SAME.strip().splitlines():
    words = [form for word in line.split() for form in (forms(word[1:]) if word[0] == "*" else [word])]
    for word in map(spaced, words):
        assert word not in rows, word
        rows[word] = spaced(words[0])
head = ("What questions with one answer vary: light words around the subject (value \"\"), and words that may stand "
        "for each other (their value is one of them). LC_MARK(\"phrase\", \"value\"), sorted.")
comment = textwrap.wrap(head, 86)
comment += textwrap.wrap("Source: the project's own list; written by data/make_wordings.py, change it there.", 86)
with open("wordings.def", "w", encoding="utf-8") as out:
    out.write("/*\n" + "".join(" * %s\n" % line for line in comment) + " */\n")
    for phrase in sorted(rows, key=lambda p: p.encode()):
        out.write('LC_MARK("%s", "%s")\n' % (phrase, rows[phrase]))
