#!/usr/bin/env python3
"""Writes calendar.def, units.def, formats.def, volatile.def, modals.def and quantities.def from the project's own lists below. Run it in
this folder's parent; the results are checked in. A line is: value: phrase, phrase, ..."""
import textwrap

CALENDAR = """
mon: monday, mondays, 星期一, 週一, 周一, 禮拜一, 礼拜一
tue: tuesday, tuesdays, 星期二, 週二, 周二, 禮拜二, 礼拜二
wed: wednesday, wednesdays, 星期三, 週三, 周三, 禮拜三, 礼拜三
thu: thursday, thursdays, 星期四, 週四, 周四, 禮拜四, 礼拜四
fri: friday, fridays, 星期五, 週五, 周五, 禮拜五, 礼拜五
sat: saturday, saturdays, 星期六, 週六, 周六, 禮拜六, 礼拜六
sun: sunday, sundays, 星期日, 星期天, 週日, 周日, 禮拜日, 禮拜天, 礼拜天
weekday: weekday, weekdays, 平日
weekend: weekend, weekends, 週末, 周末
jan: january
feb: february
mar: march
apr: april
may: in may, of may
jun: june
jul: july
aug: august
sep: september
oct: october
nov: november
dec: december
spring: in spring, springtime, 春天, 春季
summer: summer, 夏天, 夏季
autumn: autumn, in fall, 秋天, 秋季
winter: winter, 冬天, 冬季
morning: morning, 早上, 上午, 早晨
noon: noon, 中午
afternoon: afternoon, 下午
evening: evening, 傍晚
night: at night, 晚上, 夜間, 夜间, 半夜
easter: easter, 復活節, 复活节
christmas: christmas, xmas, 聖誕節, 聖誕, 圣诞节
new-year: new year's, lunar new year, chinese new year, 過年, 春節, 春节, 农历新年, 農曆新年
mid-autumn: mid-autumn, moon festival, 中秋節, 中秋节, 中秋
dragon-boat: dragon boat festival, 端午節, 端午节, 端午
halloween: halloween, 萬聖節, 万圣节
thanksgiving: thanksgiving, 感恩節, 感恩节
"""
UNITS = """
km: km, kms, kilometer, kilometers, kilometre, kilometres, 公里, 千米
mile: mile, miles, 英里, 哩
m: meter, meters, metre, metres, 公尺, 米
cm: cm, centimeter, centimeters, centimetre, centimetres, 公分, 厘米, 釐米
mm: mm, millimeter, millimeters, 毫米, 公釐
foot: foot, feet, ft, 英尺, 英呎
inch: inch, inches, 英寸, 英吋, 吋
yard: yards
kg: kg, kgs, kilogram, kilograms, kilo, kilos, 公斤, 千克
g: gram, grams, 公克, 克
mg: mg, milligram, milligrams, 毫克
lb: lb, lbs, 磅
ounce: oz, ounce, ounces, 盎司
ton: ton, tons, tonne, tonnes, 公噸, 公吨, 噸, 吨
jin: 台斤, 市斤
l: liter, liters, litre, litres, 公升
ml: ml, milliliter, milliliters, 毫升
gallon: gallon, gallons, 加侖, 加仑
cup: cups
tbsp: tablespoon, tablespoons, tbsp, 大匙, 湯匙
tsp: teaspoon, teaspoons, tsp, 小匙, 茶匙
celsius: celsius, 攝氏, 摄氏
fahrenheit: fahrenheit, 華氏, 华氏
kelvin: kelvin
ping: 坪
sqm: square meter, square meters, square metres, 平方公尺, 平方米
hectare: hectare, hectares, 公頃, 公顷
acre: acre, acres, 英畝, 英亩
kb: kb, kilobyte, kilobytes
mb: mb, megabyte, megabytes
gb: gb, gigabyte, gigabytes
tb: tb, terabyte, terabytes
second: seconds, 秒
minute: minute, minutes, mins, 分鐘, 分钟
hour: hour, hours, hrs, 小時, 小时, 鐘頭
day: day, days, 天
week: week, weeks, 星期, 週, 周, 禮拜
month: month, months, 個月, 个月, 月
year: year, years, 年
percent: %, percent, 百分之
degree: degree, degrees, °
calorie: calorie, calories, kcal, 大卡, 卡路里
joule: joule, joules, 焦耳
watt: watt, watts, 瓦
kwh: kwh, 度電
volt: volt, volts, 伏特
am: am, a.m.
pm: pm, p.m.
"""
FORMATS = """
table: as a table, in a table, in table form, table format, 表格
bullets: bullet point, bullet points, bullets, bulleted list, 條列, 列點, 条列, 列点, 項目符號, 项目符号
json: json
csv: csv
xml: xml
yaml: yaml
markdown: markdown
latex: latex
poem: as a poem, write a poem, 寫一首詩, 写一首诗, 詩的形式
haiku: haiku, 俳句
song: as a song, write a song, 寫一首歌, 写一首歌
email: as an email, write an email, 寫一封信, 写一封信, 寫一封郵件, 写一封邮件
essay: write an essay, 作文
tweet: as a tweet, write a tweet
steps: step by step, step-by-step, 一步一步, 逐步, 分步驟, 分步骤
code: code only, with code, 附程式碼, 附代码
short: briefly, in brief, brief, in short, concise, concisely, short answer, in a nutshell, in one sentence, in a sentence, one sentence, in one word, 簡短, 简短, 簡要, 简要, 簡潔, 简洁, 簡述, 简述, 一句話, 一句话
long: in detail, in depth, at length, 詳細, 详细, 詳盡, 详尽, 深入
beginner: for beginners, for a beginner, for dummies, eli5, like i'm five, to a child, to children, to kids, 初學者, 初学者, 給小朋友, 给小朋友, 小朋友也, 小朋友聽得懂, 小朋友听得懂, 小學生, 小学生, 白話, 通俗
expert: for experts, to an expert, academic, 學術, 学术
example: with examples, with an example, give an example, 舉例, 举例
compare: compared with, in comparison with
translate: translate, translation, 翻譯, 翻译
summarize: summarize, summarise, summary of, 摘要, 總結, 总结
"""
VOLATILE = """
now: today's, todays, tonight, tonight's, at the moment, at present, as of now, nowadays, these days, latest, newest, tomorrow's, this weekend, this year, this year's, this season, live score, live scores, breaking news, headlines, upcoming, weather forecast, what time is it, what day is it, what's the date, 今晚, 今早, 明晚, 明早, 最新, 本週, 本周, 這週, 这周, 這禮拜, 这礼拜, 這個星期, 这个星期, 本月, 這個月, 这个月, 本年度, 即時, 实时, 即时, 直播, 頭條, 头条, 天氣預報, 天气预报, 氣象預報, 現在幾點, 现在几点, 今天幾號, 今天几号
told: real-time, real time, realtime, right now, currently, current, up to date, up-to-date, most recent, this week, this month, 當前, 当前, now, today, yesterday, yesterday's, tomorrow, last week, next week, last month, next month, last year, last year's, next year, 今天, 今日, 現在, 现在, 目前, 此刻, 現今, 如今, 最近, 近期, 剛剛, 刚刚, 昨天, 昨日, 昨晚, 前天, 明天, 明日, 後天, 后天, 上週, 上周, 下週, 下周, 上個月, 上个月, 下個月, 下个月, 今年, 去年, 明年, 即將, 即将
"""
MODALS = """
can: can, could, may, might, allowed to, permitted to, possible to, able to, 可以, 能, 能夠, 能够, 可不可以, 能不能, 可否, 能否
must: must, have to, has to, need to, needs to, required to, obliged to, 必須, 必须, 一定要, 需要, 須, 须, 需不需要
should: should, ought to, supposed to, 應該, 应该, 應不應該, 应不应该, 該不該, 该不该, 該, 该
want: want to, wants to
"""
QUANTITIES = """
all: all, every, each, everyone, everybody, 所有, 全部, 每個, 每个, 一切, 全體, 全体
some: some, any, several, certain, few, 有些, 某些, 部分, 一些, 少數, 少数
most: most of, do most, are most, can most, have most, majority, 大部分, 大多數, 大多数, 多數, 多数
"""


def write(name, head, text):
    rows = {}
    for line in text.strip().splitlines():
        value, phrases = line.split(": ", 1)
        for phrase in phrases.split(", "):
            assert phrase not in rows, phrase
            rows[phrase] = value
    comment = textwrap.wrap(head + ' LC_MARK("phrase", "value"), sorted.', 86)
    comment += textwrap.wrap("Source: the project's own list; written by data/make_lists.py, change it there.", 86)
    with open(name, "w", encoding="utf-8") as out:
        out.write("/*\n" + "".join(" * %s\n" % line for line in comment) + " */\n")
        for phrase in sorted(rows, key=lambda p: p.encode()):
            out.write('LC_MARK("%s", "%s")\n' % (phrase, rows[phrase]))


write("calendar.def", "Days, months, seasons, parts of the day, feasts.", CALENDAR)
write("units.def", "Units of measure and of time.", UNITS)
write("formats.def", "Forms, lengths and readers an answer is asked for in.", FORMATS)
write("volatile.def", "What makes a question one about now; told: unless it is part of a story.", VOLATILE)
write("modals.def", "What one may, must, should or wants to do.", MODALS)
write("quantities.def", "How many of them: all, some, most.", QUANTITIES)
