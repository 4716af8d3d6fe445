"""How people say on the phone that they do not want to be called again: English, Dutch, German, French, Spanish.

Data for ``opt_out``, which says what is taken for a wish and why. It is read as small letters without accents, with
``dont`` for don't and a lone comma for a comma, one sentence at a time. A line is a pattern; a line that is indented
goes on with the one before. ``<call>`` stands for the part of that name, ``<3>`` for up to three words of any kind.

- ``urgent``: wishes, whatever else the sentence says;
- ``others``: what only sounds like a wish. It is taken out of a sentence before that is searched for
- ``wishes``;
- ``alone``: words that are a wish when they are all that is said, beside ``fillers``;
- ``hints``: letters of which every wish has some. Where none are, nothing needs to be searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_END_OF_CLAUSE = r"(?= ,| $)"
_PART = re.compile(r"<([a-z][a-z ]*|[0-9])>")


@dataclass(frozen=True, slots=True)
class Words:
    """One language's, ready to be searched with. There may be nothing urgent."""

    urgent: re.Pattern[str] | None
    others: re.Pattern[str]
    wishes: re.Pattern[str]
    alone: frozenset[str]
    fillers: frozenset[str]
    hints: tuple[str, ...]


_ENGLISH = r"""
== parts
call = (?:(?:text|email|write)(?: me)? or )?(?:call|phone|ring|telephone|dial|contact|reach out to|disturb|harass|
    pester|spam)
calling = (?:(?:texting|emailing)(?: me)? (?:and|or) )?(?:calling|phoning|ringing|telephoning|diall?ing|contacting|
    bothering|harassing|disturbing|pestering|spamming|bugging|hounding|soliciting|robocalling)
called = (?:called|contacted|phoned|telephoned|rung|bothered|disturbed|harassed|solicited)
this phone = (?:here|this (?:\w+ )?(?:number|phone|line|house|home|place|residence|office|address)|my (?!bluff)\w+|
    our \w+)
whom = (?: (?:me|us|(?:on |at |to )?<this phone>|back|again|ever|any ?more|no more)\b| (?:him|her|them|it|people|
    everyone|anyone) (?:again|any ?more|ever)\b|<end>)
calls whom = (?: (?:me|us|(?:on |at |to )?<this phone>|him|her|them|people|again|any ?more|back|now|please|already|
    immediately|altogether|completely|so|every|everyone|all|at|on|and|or|from|day)\b|<end>)
do not = (?:dont|do not|never|not ever)
hard = (?:ever|please|just|even|kindly|you ever|you dare|dare|fucking|fuckin|freaking|bloody|goddamn|damn)
nobody = (?<! i )(?<! we )(?<! they )(?<! he )(?<! she )(?<! it )(?<! you )(?<! who )(?<! that )(?<! usually )
    (?<! really )
stop = (?:stop|quit|cease|discontinue|refrain from)
list = (?:lists?|databases?|data base|systems?|records?|files?|register|registry|directory|contacts|call sheet|
    queue|campaigns?)
take = (?:take|remove|delete|get|drop|erase|scratch|strike|pull|leave|keep|cross|wipe|purge|clear)
dnc = (?:do not call|dont call|no call|dnc|do not contact)
later = (?:right now|now|today|tonight|tomorrow|yet|until|till|before|monday|tuesday|wednesday|thursday|friday|
    saturday|sunday|(?:on )?(?:this|next) (?:morning|afternoon|evening|week|weekend|month)|so (?:early|late|soon)|
    too (?:early|late|soon)|this (?:early|late))
not for ever = (?!.*\b(?:ever|again|any ?more|never)\b)
# not "sir" or "honey": "stop calling me sir" is as likely said to a sir
names = (?:an?|miss|missus|mrs|ms|mr|mister|that|names?|by|your|stupid|crazy|lazy|old|young|dumb|rude|mean|selfish|
    weird|paranoid|ungrateful|cheap|mommy|daddy|grandma|grandpa|what|it)
== urgent
(?:why )?(?:dont|cant|wont|can|could|will|
    would) you(?: guys| people)?(?: please| just| ever| all)* <stop>(?: please)? <calling><calls whom>
(?:can|could|will|would) you(?: guys| people)?(?: please| just| kindly)* (?:not|never)(?: ever)? <call><whom>
(?:if|unless|until) you(?: guys| people)?(?: dont| do not| wont| will not)? <stop> <calling><calls whom>
(?<! hope )(?<! glad )you(?: guys| people)?(?: just| simply)? (?:dont|do not|wont|will not|never|
    cant) <stop> <calling> (?:me|us|<this phone>)\b
if you<2> (?:call|phone|contact|ring|bother)(?: (?:me|us|<this phone>))?(?: ever)? (?:again|once more|
    one more time)(?: ,)?<3> (?:i|we|my|you)<4> (?:sue|report|reporting|police|lawyer|attorney|complaint|complain|
    file|block|blocking|fcc|ftc|legal|court|regret|trouble)
(?:report|sue|block|reporting|suing|blocking)<5> if you<2> (?:call|phone|contact|ring)(?: me| us| here)? (?:again|
    once more|one more time)\b
(?:prefer|rather|like|appreciate|appreciated|ask|asked|request|insist|demand|hope|grateful|glad|better|happy|
    told)<4> (?:you|your (?:company|people|computer)|they|yall)(?: guys| people)?(?: would| could| please)? (?:dont|
    didnt|do not|did not|never|not|wouldnt|would not|no longer|stopped|stop)(?: ever)? (?:call|called|calling|phone|
    phoned|contact|contacted|ring|rang)<whom>
== others
# another time, not never
<do not>(?: <hard>)* <call>(?: (?:me|us|back|<this phone>))* <later>\b<not for ever>
want<3> (?:to be called|to call(?: me| us)?|calls)(?: back)? <later>\b<not for ever>
no more calls (?:for )?<later>\b<not for ever>
# what somebody is called
(?:call|calling) (?:me|us|him|her|them) <names>\b
(?:called|calling|call) (?:it|that|yourself|myself|themselves)\b(?! (?:again|any ?more|ever)\b)
be(?:ing)? called (?:<names>|sir|maam|madam|honey|dear|sweetie|sweetheart|love|baby|buddy|boss|bro|dude)\b
# the opposite
(?:dont|do not|never|not|cant|cannot|wont|didnt|doesnt|couldnt|wouldnt)(?: <hard>)* <stop> \w+ing
(?:dont|do not|not|never)<3> (?:unsubscribe|opt out|lose|erase|leave (?:me|us) alone)\b
(?:dont|do not)<1> <take> (?:me|us|my|this)\b
(?:dont|do not|did you|didnt|i|they|we) (?:delete|forget|lose) (?:my|our|this)\b
# what the callee or somebody else does, or was told to do
(?:i|we)(?: (?:will|would|had|have|should|can|could|might|may|must|need|want|wanted|decided|tried|try|to|just|ever|
    am|going|promise|did)){0,4} <stop> \w+ing
(?:told|asked|advised|tells|asks|warned|wants|wanted|made|makes) (?:me|him|her|my \w+)(?: to)? <stop> \w+ing
(?:told|asked|advised|tells|asks|warned|wants|wanted) (?:me|him|her) not to
why (?:dont|do not|didnt) (?:you|we|i|they)<1> <call>
# other lists, other things to leave and to be left with
took (?:me|us|my<2>) off
(?:waiting|wait|guest|shopping|price|grocery|watch|wish|invite|invitation|attendee|patient|appointment|to do|
    reading|play|playing) list
opt(?:ed|ing)? out of (?!(?:all|any|these|this|your|the|those|future|further|marketing|phone|receiving|being|
    getting|it|everything|calls?|calling|contact)\b)(?:\w+)
opt(?:ed|ing)? out of (?:the|this|your) (?:warranty|insurance|plan|program|coverage|policy|upgrade|option|trial|
    study|class)
leave (?:me|us) alone (?:for (?:an?|one|two|five|ten|\d+)\b|with (?:him|her|them|it|the)\b|in\b|at\b)
== wishes
# do not call me
<nobody><do not>(?: <hard>)* <call><whom>
<nobody><do not>(?: <hard>)* bother (?:me|us)(?: (?:again|any ?more|ever)\b|<end>)
dont you <call> (?:me|us|<this phone>)<2> (?:again|any ?more|ever)\b
<do not>(?: <hard>)* bother (?:calling|phoning|ringing|to call)(?: (?:me|us|back|again|here|any ?more)\b|<end>)
you(?: guys| people| all)? (?:cant|cannot|can not|may not|must not|mustnt|should not|shouldnt|will not|wont|
    shall not|are not (?:allowed )?to|have no right to|will never|should never)(?: ever)? <call><whom>
you(?: guys| people| all)? (?:dont|do not) (?:have|need) to <call>(?: me| us| here)? (?:again|any ?more|ever)\b
(?:you|your \w+|them|people|guys|company|please|asked|told|ask|want|prefer|rather|like)
    (?: \w+ times)? not to(?: ever)? <call><whom>
(?:told|asked|warned) you<5> not to(?: ever)? <call><whom>
(?:mind|appreciate|prefer|try|about|by)<1> not <calling><calls whom>
not (?:be |being |to be )?<called> (?:again|any ?more|ever)\b
(?:dont|do not|never|stop) (?:use|using|dial|dialing|dialling) (?:my|this|our) (?:\w+ )?number
(?:ask|asked|asking|prefer|want|like|rather|wish|request)<1>(?: to)? not(?: to)? be <called>
(?:ask|asked|asking|prefer|want|like|rather|wish)<1>(?: to)? not(?: to)? (?:get|getting|receive|receiving)<3> calls
(?:no|not|stop) call (?:me|us|here|this)\b
please no (?:more )?(?:phone )?calls?\b
^ (?:i said |said |absolutely |just |and )?no (?:more )?(?:phone )?(?:calls|calling)<1> $
# I do not want to be called
(?:dont|do not|never|no longer)(?: ever| really| even)? (?:want|wish|need|like|care for)(?: to (?:get|receive|have|
    take|be getting|be receiving))?(?: (?:any|any more|anymore|more|these|those|your|such|further|other|unsolicited|
    sales|marketing|robo|spam|automated|unwanted|phone|of|this kind of))* (?:calls|phonecalls|robocalls|
    telemarketing|solicitations?)\b
(?:dont|do not|never)(?: ever)? (?:want|need) (?:another|any more|one more) (?:phone )?call\b
(?:dont|do not|never|no longer)(?: ever| really)? (?:want|like|need|wish|appreciate) (?:you|your \w+|people|anyone|
    anybody|them|yall|this company|companies|robots|
    machines)(?: guys| people)?(?: to)?(?: ever| keep| be)* (?:<call>|<calling>)<calls whom>
(?:dont|do not|never|no longer)(?: ever)? (?:want|wish|like|care|need) to be (?:<called>|on (?:your|this|the|
    any)<2> <list>)
(?:dont|do not|never|no longer)(?: ever)? (?:want|wish|need|care) to (?:hear from (?:you|your|this|anyone|any)|
    (?:speak|talk) (?:to|with) you<2> (?:again|any ?more|ever))\b
# stop calling me
<stop>(?: (?:please|now|all|from|already|ever|immediately|just|trying to|to|your|the|this|fucking))* <calling>
    <calls whom>
<stop> trying to (?:<call>|reach|sell)<whom>
(?<! are )(?<! were )(?<! have )(?<! had )(?<! get )(?<! got )(?<! take )(?<! made )(?:<stop>|end|no more|enough|
    cancel|halt)(?: (?:please|all|with|of|the|these|those|your|any|more|further|future|making|sending|giving|me|us|
    such|phone|sales|marketing|robo|automated|unwanted|spam|nuisance|annoying|stupid|damn|fucking))* (?:calls|
    phonecalls|robocalls|telemarketing|solicitations?)\b
cease and desist
# take me off your list
<take>(?: please)? (?:me|us|him|her|my<2>|our<2>|this<1>|(?:the|that) (?:phone )?number|
    everyone)(?: please| all| completely| right| the hell)* (?:off|from|out)(?: of| from)?<4> <list>\b
(?:(?:remove|delete) (?:me|us|my (?:\w+ )?number|this (?:\w+ )?number)|(?:take|get) (?:me|us|my (?:\w+ )?number|
    this (?:\w+ )?number) (?:off|out))(?: please| now| of this| permanently| completely| immediately)*<end>
(?:my|this|our) (?:\w+ )?number (?:to be )?(?:removed|taken off|deleted|blocked|off)\b
block (?:my|this|our) (?:\w+ )?number
(?:want|get|getting|am|be|me|us|number|name) off (?:of )?(?:your|this|the|that|any|all)<2> <list>\b
(?:want|like|wish|asked|ask|need|asking|request|requesting|requested|demand)<2> (?:to be|being|be) (?:removed|
    taken off|deleted|unsubscribed|opted out)\b(?!(?: from| of)? (?:the|my|an?) (?!(?:\w+ ){0,3}<list>))
(?:lose|delete|erase|remove|discard|destroy|scrub|throw away) (?:my|our|this) (?:\w+ )?(?:numbers?|contacts?|
    details|information|info|data|name)\b
forget (?:my|this|our) (?:\w+ )?number
(?:put|add|place|get|stick|include|register|enter|want|mark|list|keep|have)<5> <dnc>\b
(?:am|are|is|were|was|been|already)<3> on<3> <dnc>\b
# in other words
(?:do not|dont|did not|didnt|never|not)<1> (?:authori[sz]e|permit|allow)<2> to (?:call|contact|phone)\b
opt(?:ed|ing)? (?:me |us |my number )?out\b
unsubscribe
leave (?:me|us|my \w+|this family) alone\b
(?:revoke|revoking|withdraw|withdrawing|rescind|retract)<4> (?:consent|permission|authorization)\b
(?:sick|tired|fed up)(?: and tired)? (?:of|with) (?:these|your|the|all|getting|all these|all the)<1> calls\b
(?:harassing|pestering|hounding) (?:me|us)\b
this is harassment
(?:do not|dont|didnt|havent|never|no longer|without|not)<3> (?:consent|permission|authorization)<2> to (?:call|
    contact|phone|ring|be called|be contacted|receive|any|these|this call|your calls|get)\b
== alone
quit, stop, stopp, unsubscribe
== fillers
please, ok, okay, no, yes, yeah, hey, just, now, well, look, listen, thanks, thank, you, goodbye, bye, sir, maam,
oh, uh, um, i, said, it, this, right, immediately, already, am, not, interested, hello, hi, the
== hints
call, phon, ring, contact, dial, reach, bother, disturb, harass, pester, spam, bugging, hounding, solicit,
telemarket, desist, hear from, talk, speak, list, database, system, record, file, regist, directory, queue,
campaign, remove, delete, take, get, number, lose, erase, discard, destroy, scrub, throw, dnc, opt, unsubscri,
alone, consent, permission, authori, permit, allow
"""

_DUTCH = r"""
== parts
mij = (?:me|mij|ons|hier(?:heen| naartoe)?|dit (?:telefoon)?nummer|deze (?:lijn|telefoon)|mijn \w+|
    naar \w+(?: nummer)?)
lijst = (?:lijst|lijsten|bellijst|bellijsten|telefoonlijst|bestand|bestanden|klantenbestand|systeem|database|
    administratie)
straks = (?:nu|vandaag|morgen|vanavond|vanmiddag|vanochtend|voor|voordat|te laat|te vroeg|zo laat|zo vroeg|
    deze week|dit weekend|tot|(?:op )?(?:maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag))
beleefd = (?: (?:alstublieft|alsjeblieft|svp|dan|nou|ook|maar|toch|gewoon|eens|echt|meer|nog|ooit|hier|u|je|jullie|
    alsnog))*
== others
bel(?:t u|len jullie)?<3> <straks><1> niet\b(?!.*\bmeer\b)
bel(?:t u|len jullie)?<3> niet <straks>\b(?!.*\b(?:meer|nooit)\b)
waarom<1> bel\w*<3> niet
<straks><1> niet<1> (?:terug)?(?:bellen|gebeld)\b
(?:ik|we|wij) (?:zal|ga|kan|kon|wilde|hoefde|durf|gaan|zullen|kunnen)<4> (?:niet|nooit)<2> bellen
(?:ik|we|wij)<2> (?:stop|hou|stoppen|ophouden)<1> met
hoef\w*<2> niet(?: terug)? te bellen
telefoontjes? (?:te )?missen
(?:afmelden|uitschrijven|af|uit) (?:voor|bij|van) (?:de|het|mijn|een|die) (?!(?:bel|telefoon|lijst|oproep)\w*)\w+
(?:voor|bij|van) (?:de|het|mijn|een|die) (?!(?:bel|telefoon|lijst|oproep)\w*)\w+<1> (?:afmelden|uitschrijven)
== wishes
(?<! ik )bel(?: <mij>)?<beleefd> (?:niet|nooit)\b
(?:belt u|bellen jullie)(?: <mij><beleefd> (?:niet|nooit)\b|<beleefd> (?:niet|nooit) meer\b)
belt <mij> (?:niet|nooit) meer
(?:niet|nooit)<2> (?:meer|weer|nog|opnieuw|terug)<4> (?:bellen|opbellen|terugbellen|gebeld|belt|contacteren|
    gecontacteerd|benaderen|benaderd|lastigvallen|lastiggevallen|lastig|storen|gestoord)\b
(?:niet|nooit) (?:te |terug)?bellen<end>
wil(?:len)?<2> (?:niet|nooit|geen)<4> (?:gebeld|benaderd|gestoord|lastiggevallen|gecontacteerd|telefoontjes?|
    belletjes|oproepen|gebel|telefonische \w+|verkoopgesprekken)\b
wil(?:len)?<2> niet(?: ,)? dat (?:u|je|jullie|ze|men|er|iemand)<4> (?:bel|belt|bellen|gebeld)\b
(?:stop|stopt|stoppen|hou|houd|houdt|ophouden|ophoudt|opgehouden)<beleefd>(?: (?:nu|op|onmiddellijk|direct|
    eindelijk|ermee))*<beleefd> met<4> (?:bellen|gebel|telefoontjes?|belletjes|oproepen|lastigvallen|lastig|storen|
    spammen)\b
(?:haal|haalt|verwijder|verwijdert|schrap|schrapt|streep|wis|gooi)<2> (?:me|mij|ons|mijn<1>|dit nummer|
    onze \w+)<4> (?:van|uit)<3> <lijst>\b
(?:me|mij|ons|mijn (?:telefoon)?(?:nummer|gegevens|naam)|dit nummer)<2> (?:van|uit)<3> <lijst><3> (?:halen|
    verwijderen|schrappen|gehaald|verwijderd|af)\b
(?:verwijder|verwijdert|wis|schrap|vergeet|gooi)<2> (?:mijn|dit|ons) (?:telefoon)?(?:nummer|gegevens|naam)
(?:mijn|dit) (?:telefoon)?(?:nummer|gegevens)<2> (?:verwijderen|verwijdert|wissen|wist|verwijderd|schrappen)
van<2> <lijst><1> (?:af|gehaald|verwijderd|geschrapt)\b
geen toestemming<4> (?:bellen|gebeld)\b
(?:bel me niet|niet bellen|blokkeer|zwarte) ?(?:register|lijst)\b
(?:meld|schrijf)<1> (?:me|mij|ons)<3> (?:af|uit)\b
(?:me|mij|ons)<3> (?:afmelden|uitschrijven)\b
laat (?:me|mij|ons)<2> met rust
val (?:me|mij|ons)<2> niet<1> lastig
geen (?:telefoontjes?|belletjes|oproepen|gebel|telefonisch contact)<2> meer\b
neem(?:t u)?<2> (?:geen|nooit)<1> contact<4> op\b
(?:niets|nooit|niks)<3> van (?:u|jullie|je)<2> horen
trek<3> toestemming<2> in\b
toestemming<2> intrekken
== alone
afmelden, hou op, houd op, houdt u op, ophouden, stop, stoppen, uitschrijven
== fillers
alstublieft, alsjeblieft, svp, nee, ja, oke, ok, nou, gewoon, nu, dank, wel, bedankt, hallo, dag, doei, ik, zeg,
zei, maar, geen, interesse, eens, toch
== hints
bel, telefoon, oproep, contact, benader, lastig, stor, spam, lijst, bestand, systeem, database, nummer, gegevens,
naam, register, af, uit, met rust, horen, toestemming, gesprek
"""

_GERMAN = r"""
== parts
liste = (?:liste|listen|anrufliste|telefonliste|kontaktliste|datenbank|kartei|verteiler|system|adressbuch|datei|
    kontakten)
spater = (?:heute|jetzt|morgen|gerade|vor|bevor|so fruh|so spat|diese woche|um|(?:am )?(?:montag|dienstag|mittwoch|
    donnerstag|freitag|samstag|sonntag))
anrufe = (?:anrufe|anrufen|werbeanrufe|werbeanrufen|telefonanrufe|telefonwerbung|telefonate|telefonaten|werbung)
== others
ruf\w*(?=<6> <spater>\b)(?!.*\b(?:nie|mehr|wieder|niemals)\b)<8>
(?:ich|wir) (?:werde|kann|konnte|mochte|darf|wollte|will|werden|konnen)<4> nicht<2> anrufen
(?:anruf|anrufe) (?:zu )?verpass\w+
in ruhe<3> (?:uberlegen|nachdenken|lesen|entscheiden|schauen|ansehen|anschauen|prufen|reden|sprechen|essen|arbeiten)
(?:vom|von der|von dem|aus dem|fur den|zum|beim|von meinem) (?!(?:anruf|liste|telefon|
    verteiler)\w*)\w+<1> (?:abmelden|austragen)
horen sie nicht auf
== wishes
ruf(?:en sie|t|e)?(?: (?:bitte|mich|uns|hier|doch|einfach|diese nummer|unter dieser nummer|bei mir|bei uns|bloss|ja|
    meine \w+))*<1> (?:nicht|nie|niemals)(?: (?:mehr|wieder|noch einmal|nochmals?|erneut|weiter|hier|bitte|bei mir|
    bei uns|unter dieser nummer))* (?:an|zuruck)\b
(?:nicht|nie|niemals)(?: (?:mehr|wieder|noch einmal|nochmals?|erneut|weiter))+<2> (?:anrufen|
    angerufen (?:zu )?werden|anzurufen|kontaktieren|kontaktiert|zu kontaktieren|belastigen|belastigt|storen|gestort|
    bei (?:mir|uns) melden)\b
(?:nicht|nie)<1> (?:anrufen|anzurufen)<end>
(?:mochte|mochten|will|wollen|wunsche|wunschen|wollte)(?: ich| wir)?<2> (?:nicht|keine|nie|
    keinerlei)<4> (?:angerufen|kontaktiert|belastigt|gestort|anrufe|werbeanrufe|telefonanrufe|telefonwerbung|
    telefonate)\b
(?:mochte|mochten|will|wollen|wunsche)(?: ich)? nicht(?: mehr)?(?: ,)? dass (?:sie|ihr|du|man)<5> (?:anrufen|anruft|
    anrufst|kontaktieren|kontaktiert|melden)\b
(?:horen sie|hort|hor|aufhoren|aufzuhoren)(?: (?:bitte|doch|endlich|sofort|jetzt|mal|
    damit))*(?: auf)?(?: ,)?<5> (?:anzurufen|zu belastigen|zu storen|zu nerven|zu kontaktieren|<anrufe>)\b
(?:nehmen sie|nehmt|nimm|streichen sie|streich|streicht|entfernen sie|entfernt|losch\w+(?: sie)?|tragen sie|
    werfen sie)(?: (?:bitte|doch|sofort))*<1> (?:mich|uns|meinen?<1>|diese nummer|unseren? \w+)<4> (?:<liste>|raus|
    aus|heraus)\b
(?:losch\w+|entfern\w+|streich\w+|vergess\w+)(?: sie)?(?: bitte)?<1> (?:meine|diese|unsere) (?:\w+ )?(?:nummer|
    telefonnummer|rufnummer|daten|kontaktdaten)\b
(?:mich|uns|meine (?:telefon)?nummer|meine daten|diese nummer)<2> (?:von|aus)<2> <liste><2> (?:nehmen|streichen|
    loschen|entfernen|genommen|gestrichen|geloscht)\b
(?:von|aus)<2> <liste><1> (?:gestrichen|geloscht|entfernt|genommen)\b
(?:kontaktier|belastig)\w*(?: sie)? (?:mich|uns)(?: bitte)? (?:nicht|nie)\b
verbitte mir\b
(?:das ist|ist) belastigung
(?:meine|diese) (?:telefon|ruf)?(?:nummer|daten)<2> (?:loschen|entfernen|streichen|geloscht)\b
(?:lassen sie|lasst|lass)(?: (?:mich|uns|bitte|doch|endlich|einfach|mal|jetzt|gefalligst))* in (?:ruhe|frieden)\b
(?:mich|uns)<3> (?:abmelden|austragen)\b
(?:sperrliste|robinsonliste|robinson liste|blacklist|schwarze liste|schwarzen liste)
(?:keine|keinerlei)<2> <anrufe><1> mehr\b
keine weiteren <anrufe>\b
(?:schluss|aufhoren|genug) (?:mit|von)<1> <anrufe>\b
(?:widerrufe|ziehe|entziehe|widerspreche)<4> (?:einwilligung|zustimmung|erlaubnis|einverstandnis|<anrufe>)\b
(?:einwilligung|zustimmung)<2> (?:widerrufen|zuruck)\b
unterlass(?:en sie|t)<3> (?:anrufe|anruf|werbeanrufe|das|es|dies)\b
nie (?:wieder|mehr)<2> von (?:ihnen|euch|dir)<2> horen
meld(?:en sie|et|e)(?: sich| euch| dich)?<2> (?:nicht|nie) (?:mehr|wieder)\b
== alone
abmelden, aufhoren, austragen, hor auf, horen sie auf, horen sie auf damit, horen sie damit auf, hort auf, stop,
stopp
== fillers
bitte, nein, ja, ok, okay, jetzt, sofort, danke, hallo, tschuss, endlich, doch, ich, sagte, sage, also, und
== hints
ruf, kontakt, belast, stor, nerv, meld, telefon, werbung, list, datenbank, kartei, verteiler, system, adressbuch,
datei, nummer, daten, raus, aus, in ruhe, in frieden, verbitte, willigung, zustimmung, erlaubnis, einverst,
unterlass, horen
"""

_FRENCH = r"""
== parts
appelez = (?:appelez|appelle|appeler|appeliez|rappelez|rappelle|rappeler|telephonez|telephoner|contactez|contacter|
    contacte|derangez|deranger|derange|harcelez|harceler|embetez|embeter|sollicitez|solliciter|demarchez|demarcher|
    importunez|importuner)
appels = (?:appels?|coups de fil|coup de fil|demarchages?|harcelement)
plus tard = (?:maintenant|aujourd hui|demain|avant|ce soir|ce matin|cette semaine|cet apres midi|si tot|si tard|
    trop tot|trop tard|tout de suite|encore|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)
pas je = (?<! je )(?<! il )(?<! elle )(?<! on )(?<! ils )(?<! elles )(?<! qui )(?<! j )
== others
plus (?:tard|tot|souvent|vite|rapidement|longtemps|fort|de details?)\b
(?:ne|n)<1> <appelez><1> pas <plus tard>\b(?!.*\bjamais\b)
appel(?:ez|le|les)(?: moi)? (?:pas )?(?:docteur|comme ca|ainsi|par mon)\b
(?:manquer|rater|louper)<2> appels?\b
(?:desinscri\w+|desabonn\w+)(?: moi)? (?:du|de la|au|a la|de l) (?!(?:liste|fichier|appel|demarchage)\w*)\w+
liste d attente
tranquilles? (?:une|un|deux|cinq|dix) (?:minutes?|secondes?|instant|moment)
plus d appels? que\b
== wishes
<pas je>(?:ne|n)(?: (?:me|m|nous|l|le|les))? <appelez>(?: (?:moi|nous|ici|ce numero|chez moi|mon \w+|
    ma \w+))* (?:plus|jamais|pas)\b
(?:ne|n) (?:plus|pas|jamais)(?: (?:jamais|me|m|nous|l|le))* <appelez>\b
<pas je>(?:m |me |nous )?(?:appelez|rappelez|contactez|telephonez|derangez)(?: (?:moi|nous|ici))? (?:plus jamais|
    jamais|plus(?: (?:ici|svp|s il|merci|sur|a ce|du tout)\b|<end>))
^ (?:non |alors |et |bon |stp )?m appelle (?:plus|jamais)\b
(?<! n )(?<! j )(?<! je )(?<! nous )(?:arretez?|arreter|arretiez|cessez?|cesser|cessiez|stop|stoppez?)(?: (?:donc|
    maintenant|immediatement|svp|s il vous plait|tout de suite|un peu|enfin))* (?:de|d|avec)(?: (?:me|m|nous|
    constamment|toujours|ces|vos|les|tous|tes))* (?:<appelez>|<appels>)\b
(?:arretez|cessez|stoppez|stop|fini|finis|assez|marre)(?: (?:ces|vos|les|tous|aux|de|d|avec))* <appels>\b
(?:veux|veut|voulons|souhaite|souhaitons|desire|voudrais|aimerais)<1> (?:plus|pas|jamais)<4> (?:appelee?s?|appeliez|
    rappelee?|rappeliez|contactee?s?|contactiez|derangee?s?|derangiez|demarchee?s?|sollicitee?s?|telephoniez|
    <appels>|entendre parler)\b
(?:veux|veut|voulons|souhaite|souhaitons|desire|voudrais|aimerais)<1> (?:plus|pas|jamais) qu (?:on|il|elle|ils)
    (?: (?:me|m|nous))? (?:appelle|appellent|contacte|contactent|derange|derangent|rappelle)\b
(?:retiree?|enlevee?|rayee?|supprimee?|effacee?|radiee?)<3> (?:listes?|fichiers?|base|bases)\b
du harcelement\b
(?:retirez?|enlevez?|supprimez?|rayez|effacez?|otez|sortez|radiez|virez)(?: (?:moi|nous|donc|svp|
    s il vous plait))+<1>(?: (?:de|du|des))?<3> (?:listes?|fichiers?|base|bases|systeme|repertoire|contacts)\b
(?:retirez?|enlevez?|supprimez?|rayez|effacez?|otez|retirer|enlever|supprimer|rayer|effacer|oubliez) (?:mon|mes|ce|
    notre) (?:numero|coordonnees|donnees|nom|contact|telephone)\b
(?:me|m|nous) (?:retirer|enlever|supprimer|rayer|effacer|radier)<4> (?:listes?|fichiers?|base|bases)\b
(?:me|m|nous) (?:desinscrire|desabonner)\b
(?:desinscri\w+|desabonn\w+) (?:moi|nous)\b
bloctel
laisse[zs]?(?: (?:moi|nous|le|la|les))?<1> (?:tranquilles?|en paix)\b
(?:foutez|fichez|fous|fiche)(?: (?:moi|nous))? la paix
(?:retire|revoque|annule|oppose)<3> (?:consentement|accord|autorisation|demarchage|appels)\b
plus jamais<3> (?:<appelez>|<appels>)\b
(?<! a )(?<! ai )(?<! avons )plus (?:aucun|un seul|d) (?:autres? )?<appels>\b
== alone
arrete, arretez, desabonnement, desinscription, plus jamais, stop
== fillers
s, il, vous, plait, svp, non, oui, ok, d, accord, merci, bonjour, au, revoir, maintenant, monsieur, madame, ca, j,
ai, dit
== hints
appel, telephon, contact, derang, harcel, embet, sollicit, demarch, importun, coup, entendre parler, list, fichier,
base, systeme, repertoire, numero, coordonnees, donnees, nom, desinscri, desabonn, bloctel, tranquille, paix,
consentement, accord, autorisation
"""

_SPANISH = r"""
== parts
llamar = (?:llamar|contactar|molestar|marcar|telefonear|acosar|insistir)(?:me|nos|le|les)?
llame = (?:llame|llames|llamen|llameis|contacte|contactes|contacten|marque|marques|marquen|telefoneen?)
lista = (?:listas?|base de datos|base|sistema|registros?|agenda|contactos)
luego = (?:ahora|hoy|manana|antes|tan tarde|tan temprano|tan pronto|todavia|aun|hasta|esta (?:tarde|noche|semana|
    manana)|(?:el )?(?:lunes|martes|miercoles|jueves|viernes|sabado|domingo))
== others
no (?:me |nos )?<llame> <luego>\b(?!.*\b(?:nunca|mas|jamas)\b)
(?:me|nos) llam\w+ (?:asi|loco|loca|mentiroso|mentirosa|tonto|tonta|don|dona|de usted|de tu|por (?:mi|el) (?:nombre|
    apellido)|la atencion)\b
llam\w+ la atencion
no (?:me |nos )?(?:deje|dejes|dejen) de \w+
perder(?:me|nos)?<1> llamadas?
lista de espera
de baja (?:del|de la|de mi|en el|en la) (?!(?:lista|llamad)\w*)\w+
(?:en paz|tranquil[oa]s?) un (?:momento|minuto|segundo|rato)
== wishes
no (?:me|nos) <llame>\b
no <llame>(?: (?:mas|nunca|jamas|otra vez|de nuevo|aqui|a (?:este|esta|casa|mi (?:casa|numero|telefono|movil|
    celular|trabajo|oficina))|por favor)\b|<end>)
no (?:me |nos )?llamar(?:me|nos)? mas\b
no (?:me |nos )?vuelv(?:a|as|an|ais) a <llamar>\b
(?<! no )(?<! me )(?:deje|dejes|deja|dejen|dejad|dejar|pare|para|paren|parad|basta|cese|cesen|termine|terminen)
    (?: (?:ya|por favor|de una vez|ahora))* (?:de|con)<1> (?:<llamar>|llamadas)\b
no (?:quiero|queremos|deseo|deseamos|quisiera|necesito)(?: (?:que|recibir|mas|sus|estas|esas|ninguna|ningun|tipo|
    seguir|tener|ser|volver a|ya|nunca|otra|otras|de|recibiendo|nuevas))*(?: (?:me|nos))?<2> (?:llamadas?|
    llamad[oa]|llamando|llame|llamen|llames|contact\w+|molest\w+|vuelvan?)\b
no (?:quiero|queremos) saber nada(?: mas)? de (?:ustedes|usted|vosotros)
(?:no mas|ni una|basta de|cero|ninguna) llamadas?\b
(?:quite|quiten|quita|borre|borren|borra|elimine|eliminen|elimina|saque|saquen|saca|retire|retiren)(?:me|nos)
    (?: (?:por favor|ya))?<2> (?:de|del)<2> <lista>\b
me (?:quit|borr|elimin|saqu|retir)\w{1,3}<1> (?:de|del)<2> <lista>\b
(?:lista|registro) de no llamar
es (?:un )?acoso
(?:quit|borr|elimin|sac|retir)ar(?:me|nos)<2> (?:de|del)<2> <lista>\b
(?:quiten?|quita|quitar|borren?|borra|borrar|eliminen?|elimina|eliminar|saquen?|saca|sacar|retiren?|retirar|suprima|
    olvide|olviden)(?: por favor)? (?:mi|mis|este|nuestro) (?:numero|telefono|datos|nombre|contacto)\b
(?:deme|denme|dame|darme|darnos|me de|me den|nos den|dar) de baja\b
lista robinson
(?:deje|dejen|deja)(?:me|nos)?(?: ya)? (?:en paz|tranquil[oa]s?)\b
(?:revoco|retiro|cancelo|anulo)<2> (?:consentimiento|permiso|autorizacion)\b
no (?:me |nos )?molest(?:e|es|en)(?: (?:mas|nunca|otra vez|de nuevo|por favor)\b|<end>)
(?:nunca|jamas)(?: (?:mas|me|nos|vuelva|vuelvan|a))* (?:llame|llamen|llames|llamar|llamarme)\b
== alone
baja, basta, pare, paren, stop, ya basta
== fillers
por, favor, no, si, ya, gracias, oiga, mire, hola, adios, senor, senora, ok, bueno, pues, ahora, que, dije
== hints
llam, contact, molest, marc, marqu, telefon, acos, insist, saber nada, list, base, sistema, registro, agenda,
numero, datos, nombre, baja, paz, tranquil, consentimiento, permiso, autorizacion
"""

_SOURCES = {"en": _ENGLISH, "nl": _DUTCH, "de": _GERMAN, "fr": _FRENCH, "es": _SPANISH}
LANGUAGES = tuple(_SOURCES)


@cache
def words_of(language: str) -> Words:
    """The words of one of the LANGUAGES."""
    sections: dict[str, list[str]] = {}
    for line in _lines(_SOURCES[language]):
        if line.startswith("== "):
            section = sections.setdefault(line.removeprefix("== "), [])
        else:
            section.append(line)
    parts = {"end": _END_OF_CLAUSE}
    for line in sections["parts"]:
        name, _, pattern = line.partition(" = ")
        parts[name] = _filled(pattern, parts)
    urgent, others, wishes = (
        [_filled(pattern, parts) for pattern in sections.get(name, ())] for name in ("urgent", "others", "wishes")
    )
    alone, fillers, hints = (" ".join(sections[name]).split(", ") for name in ("alone", "fillers", "hints"))
    return Words(
        urgent=_any_of(urgent) if urgent else None,
        others=_any_of(others),
        wishes=_any_of(wishes),
        alone=frozenset(alone),
        fillers=frozenset(fillers),
        hints=tuple(hints),
    )


def _lines(source: str) -> Iterator[str]:
    """The lines without comments, each with those that go on with it."""
    joined = re.sub(r"\n +", "", "\n".join(line for line in source.splitlines() if not line.startswith("#")))
    yield from (line for line in joined.splitlines() if line)


def _filled(pattern: str, parts: dict[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        return rf"(?: \w+){{0,{match[1]}}}" if match[1].isdigit() else parts[match[1]]

    return _PART.sub(fill, pattern)


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    # A pattern begins with a word, unless it is about the beginning of the sentence.
    return re.compile(
        "|".join(f"(?:{pattern})" if pattern.startswith("^") else rf"(?:\b{pattern})" for pattern in patterns)
    )
