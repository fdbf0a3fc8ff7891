#!/usr/bin/env python3
"""Writes places.def, languages.def and currencies.def from Unicode's CLDR, as the Python package Babel
(2.18.0) carries it, and the lists below. Run it in this folder's parent; the results are checked in."""
import textwrap
import unicodedata
from babel import Locale

LOCALES = [Locale.parse(name) for name in ("en", "zh_Hant", "zh_Hans", "zh_Hant_HK")]

CITIES = """
taipei 台北 臺北|new-taipei 新北|taoyuan 桃園 桃园|taichung 台中 臺中|tainan 台南 臺南|kaohsiung 高雄|keelung 基隆
hsinchu 新竹|miaoli 苗栗|changhua 彰化|nantou 南投|yunlin 雲林 云林|chiayi 嘉義 嘉义|pingtung 屏東 屏东|yilan 宜蘭 宜兰
hualien 花蓮 花莲|taitung 台東 臺東 台东|penghu 澎湖|kinmen 金門 金门|matsu 馬祖 马祖
beijing 北京|shanghai 上海|guangzhou 廣州 广州|shenzhen 深圳|chengdu 成都|chongqing 重慶 重庆|hangzhou 杭州
nanjing 南京|wuhan 武漢 武汉|xian 西安|suzhou 蘇州 苏州|tianjin 天津|qingdao 青島 青岛|xiamen 廈門 厦门|dalian 大連 大连
changsha 長沙 长沙|kunming 昆明|harbin 哈爾濱 哈尔滨|zhengzhou 鄭州 郑州|jinan 濟南 济南|fuzhou 福州|lhasa 拉薩 拉萨
tokyo 東京 东京|osaka 大阪|kyoto 京都|nagoya 名古屋|sapporo 札幌|fukuoka 福岡 福冈|okinawa 沖繩 冲绳|hokkaido 北海道
yokohama 橫濱 横滨|kobe 神戶 神户|seoul 首爾 首尔|busan 釜山|jeju 濟州 济州|bangkok 曼谷|chiang-mai 清邁 清迈|phuket 普吉
kuala-lumpur 吉隆坡|penang 檳城 槟城|hanoi 河內 河内|ho-chi-minh 胡志明市|da-nang 峴港 岘港|manila 馬尼拉 马尼拉
jakarta 雅加達 雅加达|bali 峇里島 巴厘岛|new-delhi 新德里|mumbai 孟買 孟买|kathmandu 加德滿都 加德满都
london 倫敦 伦敦|manchester 曼徹斯特 曼彻斯特|edinburgh 愛丁堡 爱丁堡|dublin 都柏林|paris 巴黎|lyon 里昂|nice-city 尼斯
berlin 柏林|munich 慕尼黑|hamburg 漢堡市 汉堡市|frankfurt 法蘭克福 法兰克福|rome 羅馬 罗马|milan 米蘭 米兰|venice 威尼斯
florence 佛羅倫斯 佛罗伦萨|naples 那不勒斯|madrid 馬德里 马德里|barcelona 巴塞隆納 巴塞罗那|lisbon 里斯本|amsterdam 阿姆斯特丹
brussels 布魯塞爾 布鲁塞尔|vienna 維也納 维也纳|salzburg 薩爾茲堡 萨尔茨堡|zurich 蘇黎世 苏黎世|geneva 日內瓦 日内瓦
prague 布拉格|budapest 布達佩斯 布达佩斯|warsaw 華沙 华沙|athens 雅典|istanbul 伊斯坦堡 伊斯坦布尔|moscow 莫斯科
stockholm 斯德哥爾摩 斯德哥尔摩|oslo 奧斯陸 奥斯陆|copenhagen 哥本哈根|helsinki 赫爾辛基 赫尔辛基|reykjavik 雷克雅維克
dubai 杜拜 迪拜|cairo 開羅 开罗|jerusalem 耶路撒冷|nairobi 奈洛比 内罗毕|cape-town 開普敦 开普敦
new-york 紐約 纽约|los-angeles 洛杉磯 洛杉矶|san-francisco 舊金山 旧金山|chicago 芝加哥|boston 波士頓 波士顿
seattle 西雅圖 西雅图|houston 休士頓 休斯顿|dallas 達拉斯 达拉斯|miami 邁阿密 迈阿密|las-vegas 拉斯維加斯 拉斯维加斯
san-diego 聖地牙哥 圣地亚哥|philadelphia 費城 费城|atlanta 亞特蘭大 亚特兰大|denver 丹佛|hawaii 夏威夷|california 加州
texas 德州|florida 佛州|toronto 多倫多 多伦多|vancouver 溫哥華 温哥华|montreal 蒙特婁 蒙特利尔|sydney 雪梨市 悉尼
melbourne 墨爾本 墨尔本|brisbane 布里斯本|perth 伯斯 珀斯|auckland 奧克蘭 奥克兰|rio-de-janeiro 里約 里约
sao-paulo 聖保羅 圣保罗|buenos-aires 布宜諾斯艾利斯|mexico-city 墨西哥城|lima 利馬 利马|bogota 波哥大|havana 哈瓦那
europe 歐洲 欧洲|asia 亞洲 亚洲|africa 非洲
"""
MORE_PLACES = {"US": "usa america 美國 美国", "GB": "uk britain great-britain 英國 英国 大不列顛 大不列颠", "NL": "holland",
               "KR": "korea 韓國 韩国 南韓", "KP": "北韓 朝鮮 朝鲜", "AE": "uae 阿聯 阿联酋", "CN": "中國大陸 大陸",
               "TW": "台灣 臺灣 台湾", "CZ": "czech-republic", "AU": "澳洲", "SA": "沙烏地", "HK": "hong-kong 香港",
               "MO": "macau 澳門 澳门", "TR": "turkey 土耳其", "MM": "burma 緬甸 缅甸"}
LANGUAGES = "ar bn cs da de el en es fa fi fr he hi hu id it ja ko la ms nl no pl pt ro ru sv th tl tr uk ur vi zh".split()
MORE_LANGUAGES = {
    "zh": "mandarin 中文 漢語 汉语 國語 国语 普通話 普通话 華語 华语", "yue": "cantonese 粵語 粤语 廣東話 广东话",
    "nan": "taiwanese hokkien 台語 臺語 台语 閩南語 闽南语", "hak": "hakka 客語 客家話 客家话",
    "en": "英文 英語 英语", "ja": "日文 日語 日语", "ko": "韓文 韓語 韩文 韩语", "fr": "法文 法語 法语",
    "de": "德文 德語 德语", "es": "西班牙文 西班牙語 西班牙语", "pt": "葡萄牙文 葡萄牙語 葡萄牙语", "ru": "俄文 俄語 俄语",
    "it": "義大利文 義大利語 意大利语", "ar": "阿拉伯文 阿拉伯語 阿拉伯语", "th": "泰文 泰語 泰语", "vi": "越南文 越南語 越南语 越文",
    "id": "印尼文 印尼語 印尼语", "la": "拉丁文 拉丁語 拉丁语", "hant": "繁體中文 繁体中文 正體中文 繁中 traditional-chinese",
    "hans": "簡體中文 简体中文 簡中 simplified-chinese"}
CODE = ("python|java|javascript js node.js|typescript|c++ cpp|c#|golang|rust|ruby|php|kotlin|scala|perl|matlab"
        "|sql mysql postgresql sqlite|bash shell-script|powershell|haskell|julia|fortran|cobol|pascal|vba|html|css|lua"
        "|react|vue|angular|django|flask|pandas|numpy|excel|pytorch|tensorflow")
CURRENCIES = "AED AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR NOK NZD PHP PLN RUB SAR SEK SGD THB TRY TWD USD VND ZAR".split()
MORE_CURRENCIES = {
    "USD": "$ us$ dollar dollars us-dollar us-dollars buck bucks 美元 美金", "EUR": "€ euro euros 歐元 欧元",
    "GBP": "£ pound-sterling sterling quid 英鎊 英镑", "JPY": "¥ yen 日圓 日元 日幣 日币",
    "CNY": "yuan renminbi rmb 人民幣 人民币", "TWD": "nt$ ntd 台幣 臺幣 新台幣 新臺幣 台币 新台币", "HKD": "hk$ 港幣 港币 港元",
    "KRW": "₩ 韓元 韓圜 韩元 韓幣", "INR": "₹ rupee rupees 盧比 卢比", "CHF": "franc francs 瑞士法郎",
    "RUB": "ruble rubles 盧布 卢布", "THB": "baht 泰銖 泰铢", "VND": "dong 越南盾", "BTC": "btc bitcoin 比特幣 比特币",
    "ETH": "eth ethereum 以太幣 以太坊 以太币", "SGD": "新加坡幣 新币 新幣", "AUD": "澳幣 澳元", "CAD": "加幣 加元", "MXN": "peso pesos"}


def fold(text):
    return unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'").replace("&", "and")


def write(name, head, rows):
    plain = {}
    for phrase, value in rows:
        phrase = fold(phrase)
        if phrase and plain.setdefault(phrase, value) != value:
            print(name, "keeps", phrase, plain[phrase], "not", value)
    with open(name, "w", encoding="utf-8") as out:
        head = [line for part in head for line in textwrap.wrap(part, 86)]
        out.write("/*\n" + "".join(" * %s\n" % line for line in head) + " */\n")
        for phrase in sorted(plain, key=lambda p: p.encode()):
            out.write('LC_MARK("%s", "%s")\n' % (phrase, plain[phrase]))


def listed(table):
    for value, words in table.items():
        for word in words.split():
            yield word.replace("-", " "), value.lower()


def places():
    yield from listed(MORE_PLACES)
    for group in CITIES.replace("\n", "|").split("|"):
        words = group.split()
        for word in words:
            yield word.replace("-", " "), words[0]
    for locale in LOCALES:
        for code, name in locale.territories.items():
            if len(code) == 2 and code.isalpha() and code not in ("ZZ", "XA", "XB", "EZ", "UN", "EU", "QO", "ML"):
                if name[0] == "法" and "屬" in name or "属" in name:
                    continue
                name = name.split(" (")[0].split("（")[0].split("中國")[-1] if code != "CN" else name
                yield name.split("中国")[-1] if code != "CN" else name, code.lower()


def languages():
    yield from listed(MORE_LANGUAGES)
    for locale in LOCALES:
        for code in LANGUAGES:
            yield locale.languages[code], code
    for group in CODE.split("|"):
        words = group.split()
        for word in words:
            yield word.replace("-", " "), words[0]


def currencies():
    yield from listed(MORE_CURRENCIES)
    for code in CURRENCIES:
        if code not in ("TRY", "ILS", "PHP"):
            yield code, code.lower()
        for locale in LOCALES:
            yield locale.currencies[code], code.lower()


SOURCE = ["Source: Unicode CLDR 48 (Unicode License v3) and the project's own list; written by data/make_marks.py, "
          "change it there."]
write("places.def", ["Countries and cities in English and Chinese. LC_MARK(\"phrase\", \"place\"), sorted."] + SOURCE, places())
write("languages.def", ["Languages, natural and programming. LC_MARK(\"phrase\", \"language\"), sorted."] + SOURCE, languages())
write("currencies.def", ["Currencies. LC_MARK(\"phrase\", \"currency\"), sorted."] + SOURCE, currencies())
