"""The tables of `facts`: nothing in them has changed for decades, and nothing is expected to."""

from typing import TypeAlias

Pairs: TypeAlias = tuple[tuple[str, str], ...]


def _pairs(text: str) -> Pairs:
    rows = (entry.split("=") for line in text.strip().splitlines() for entry in line.split(";"))
    return tuple((subject.strip(), value.strip()) for subject, value in rows)


CAPITALS = _pairs("""
France=Paris; Spain=Madrid; Italy=Rome; Portugal=Lisbon; Germany=Berlin; Austria=Vienna; Greece=Athens
Poland=Warsaw; Hungary=Budapest; Norway=Oslo; Sweden=Stockholm; Finland=Helsinki; Denmark=Copenhagen
Ireland=Dublin; Iceland=Reykjavik; Japan=Tokyo; China=Beijing; Thailand=Bangkok; Vietnam=Hanoi; Egypt=Cairo
Kenya=Nairobi; Morocco=Rabat; Canada=Ottawa; Peru=Lima; Cuba=Havana; Australia=Canberra; Turkey=Ankara
New Zealand=Wellington; Russia=Moscow; Croatia=Zagreb; Bulgaria=Sofia; Romania=Bucharest; Belgium=Brussels
Brazil=Brasilia; Colombia=Bogota; Ghana=Accra; Nepal=Kathmandu; Argentina=Buenos Aires; Mongolia=Ulaanbaatar
""")

CONTINENTS = _pairs("""
France=Europe; Spain=Europe; Poland=Europe; Norway=Europe; Greece=Europe; Ireland=Europe; Austria=Europe
Japan=Asia; China=Asia; Thailand=Asia; Vietnam=Asia; Nepal=Asia; Mongolia=Asia; India=Asia
Kenya=Africa; Ghana=Africa; Morocco=Africa; Nigeria=Africa; Senegal=Africa; Zambia=Africa; Algeria=Africa
Peru=South America; Brazil=South America; Chile=South America; Bolivia=South America; Uruguay=South America
Canada=North America; Mexico=North America; Cuba=North America; Jamaica=North America
""")

YOUNG = _pairs("""
dog=puppy; cat=kitten; horse=foal; cow=calf; sheep=lamb; goat=kid; pig=piglet; duck=duckling; goose=gosling
swan=cygnet; turkey=poult; bear=cub; pigeon=squab; kangaroo=joey; hare=leveret; frog=tadpole; spider=spiderling
""")

CLASSES = _pairs("""
bat=mammals; whale=mammals; dolphin=mammals; otter=mammals; hedgehog=mammals; penguin=birds; ostrich=birds
owl=birds; robin=birds; shark=fish; salmon=fish; trout=fish; seahorse=fish; tortoise=reptiles; crocodile=reptiles
lizard=reptiles; cobra=reptiles; toad=amphibians; newt=amphibians; frog=amphibians; salamander=amphibians
bee=insects; ant=insects; butterfly=insects; ladybird=insects; dragonfly=insects; cricket=insects
""")

SYMBOLS = _pairs("""
hydrogen=H; helium=He; lithium=Li; carbon=C; nitrogen=N; oxygen=O; fluorine=F; neon=Ne; sodium=Na; magnesium=Mg
silicon=Si; phosphorus=P; chlorine=Cl; argon=Ar; potassium=K; calcium=Ca; iron=Fe; nickel=Ni; copper=Cu; zinc=Zn
silver=Ag; tin=Sn; iodine=I; tungsten=W; platinum=Pt; gold=Au; mercury=Hg; lead=Pb; radon=Rn; uranium=U
""")

NUMBERS = _pairs("""
hydrogen=1; helium=2; lithium=3; carbon=6; nitrogen=7; oxygen=8; fluorine=9; neon=10; sodium=11; magnesium=12
silicon=14; phosphorus=15; chlorine=17; argon=18; potassium=19; calcium=20; iron=26; copper=29; zinc=30
silver=47; tin=50; gold=79; mercury=80; lead=82
""")

PLANETS = _pairs("""
first=Mercury; second=Venus; third=Earth; fourth=Mars; fifth=Jupiter; sixth=Saturn; seventh=Uranus; eighth=Neptune
""")

SHAPES = _pairs("""
triangle=3; square=4; pentagon=5; hexagon=6; heptagon=7; octagon=8; nonagon=9; decagon=10; dodecagon=12
""")

AUTHORS = _pairs("""
Hamlet=William Shakespeare; Macbeth=William Shakespeare; Don Quixote=Miguel de Cervantes; War and Peace=Leo Tolstoy
Pride and Prejudice=Jane Austen; Emma=Jane Austen; Oliver Twist=Charles Dickens; Frankenstein=Mary Shelley
The Hobbit=J. R. R. Tolkien; Dracula=Bram Stoker; Moby-Dick=Herman Melville; The Odyssey=Homer; The Iliad=Homer
Animal Farm=George Orwell; The Trial=Franz Kafka; Les Miserables=Victor Hugo; Faust=Goethe
Treasure Island=Robert Louis Stevenson; Crime and Punishment=Dostoevsky; Jane Eyre=Charlotte Bronte
A Doll's House=Henrik Ibsen; The Divine Comedy=Dante; The Cherry Orchard=Anton Chekhov
""")

OPPOSITES = _pairs("""
hot=cold; early=late; full=empty; high=low; open=closed; young=old; strong=weak; fast=slow; heavy=light
asleep=awake; loud=quiet; wet=dry; deep=shallow; rich=poor; sharp=blunt; rough=smooth; tight=loose; thick=thin
wide=narrow; near=far; clean=dirty; cheap=expensive; brave=cowardly; ancient=modern; arrive=depart; push=pull
laugh=cry; remember=forget; win=lose; buy=sell; north=south; inside=outside; begin=end; float=sink
""")
