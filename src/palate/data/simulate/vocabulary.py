"""Names, things and places that several families draw from."""

NAMES = (
    "Anna", "Ben", "Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kemal", "Laura",
    "Mara", "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Samir", "Tara", "Umar", "Vera", "Walter", "Yuki",
)  # fmt: skip

THINGS = (
    "apples", "pencils", "stamps", "marbles", "books", "cups", "buttons", "postcards", "candles", "lemons",
    "tickets", "shells", "coins", "spoons", "balloons", "eggs", "badges", "tulips", "magnets", "biscuits",
)  # fmt: skip

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip

TOWNS = (
    "Leeds", "Porto", "Lyon", "Bergen", "Turin", "Ghent", "Cork", "Graz", "Izmir", "Malmo", "Basel", "Seville",
    "Gdansk", "Utrecht", "Tartu", "Bath", "Nantes", "Verona",
)  # fmt: skip

WORDS = (
    "table", "garden", "window", "bridge", "candle", "forest", "market", "button", "silver", "planet", "winter",
    "rabbit", "ladder", "basket", "pocket", "hammer", "island", "kettle", "orange", "pillow", "ribbon", "saddle",
    "tunnel", "velvet", "walnut", "anchor", "barrel", "copper", "dragon", "engine", "feather", "giant", "harvest",
    "insect", "jacket", "kitchen", "lantern", "mirror", "needle", "oyster", "pepper", "quarry", "rocket", "sponge",
    "thunder", "uncle", "village", "wagon", "yellow", "zebra", "cabin", "dinner", "echo", "flute", "ghost", "honey",
)  # fmt: skip
