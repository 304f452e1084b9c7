import { base, en, Faker } from '@faker-js/faker';

/** The shop's rows: made up by a fixed seed within fixed dates, so that every shop is the same shop. */
const SEED = 20_240_601;
const FIRST_DAY = '2019-01-01T00:00:00.000Z';
const LAST_DAY = '2024-05-31T00:00:00.000Z';

const sizes = {
  suppliers: 200,
  categories: 40,
  products: 2_000,
  customers: 10_000,
  addresses: 12_000,
  orders: 20_000,
  reviews: 8_000,
  newsletter_subscriptions: 8_000,
  abandoned_carts: 4_000,
} as const;
const ITEMS_AN_ORDER_MAX = 4;

type Value = string | number | null;
/** Columns with their SQL types, and rows in the order of the columns. */
export type ShopTable = { name: string; columns: Record<string, string>; rows: Value[][] };

const countries = {
  AT: 'Austria',
  BE: 'Belgium',
  CH: 'Switzerland',
  DE: 'Germany',
  DK: 'Denmark',
  ES: 'Spain',
  FR: 'France',
  IT: 'Italy',
  NL: 'Netherlands',
  PL: 'Poland',
  SE: 'Sweden',
} as const;
const topics = ['sales', 'new-arrivals', 'gardening', 'books', 'kitchen'] as const;

/** In the order of their foreign keys. */
export function shopTables(): ShopTable[] {
  const faker = new Faker({ locale: [en, base], seed: SEED });
  const people = customers(faker);
  const shelf = products(faker);
  const sold = orders(faker, shelf);
  return [
    {
      name: 'countries',
      columns: { code: 'char(2)', name: 'text' },
      rows: Object.entries(countries),
    },
    suppliers(faker),
    categories(faker),
    shelf,
    {
      name: 'stock_levels',
      columns: { product_id: 'int', on_hand: 'int' },
      rows: times(sizes.products, (id) => [id, faker.number.int(500)]),
    },
    people,
    addresses(faker),
    ...sold,
    reviews(faker),
    subscriptions(faker, people),
    carts(faker, shelf),
  ];
}

function suppliers(faker: Faker): ShopTable {
  return {
    name: 'suppliers',
    columns: { id: 'int', name: 'text', country: 'char(2)' },
    rows: times(sizes.suppliers, (id) => [id, faker.company.name(), country(faker)]),
  };
}

function categories(faker: Faker): ShopTable {
  const roots = 8;
  return {
    name: 'categories',
    columns: { id: 'int', name: 'text', parent_id: 'int' },
    rows: times(sizes.categories, (id) => [
      id,
      `${faker.commerce.department()} ${id}`,
      id <= roots ? null : 1 + (id % roots),
    ]),
  };
}

function products(faker: Faker): ShopTable {
  return {
    name: 'products',
    columns: { id: 'int', name: 'text', category_id: 'int', supplier_id: 'int', price: 'numeric' },
    rows: times(sizes.products, (id) => [
      id,
      faker.commerce.productName(),
      anyId(faker, sizes.categories),
      anyId(faker, sizes.suppliers),
      money(faker.number.int({ min: 199, max: 49_999 })),
    ]),
  };
}

function customers(faker: Faker): ShopTable {
  return {
    name: 'customers',
    columns: { id: 'int', email: 'text', first_name: 'text', last_name: 'text', joined_at: 'timestamptz' },
    rows: times(sizes.customers, (id) => {
      const [first, last] = [faker.person.firstName(), faker.person.lastName()];
      return [id, email(first, last, id), first, last, moment(faker)];
    }),
  };
}

/** The first address of customer n has the number n. */
function addresses(faker: Faker): ShopTable {
  return {
    name: 'addresses',
    columns: { id: 'int', customer_id: 'int', street: 'text', city: 'text', country: 'char(2)' },
    rows: times(sizes.addresses, (id) => [
      id,
      id <= sizes.customers ? id : anyId(faker, sizes.customers),
      faker.location.streetAddress(),
      faker.location.city(),
      country(faker),
    ]),
  };
}

function orders(faker: Faker, shelf: ShopTable): ShopTable[] {
  const [items, payments]: [Value[][], Value[][]] = [[], []];
  const rows = times(sizes.orders, (id) => {
    const customer = anyId(faker, sizes.customers);
    const placed = moment(faker);
    let cents = 0;
    const lines = faker.number.int({ min: 1, max: ITEMS_AN_ORDER_MAX });
    for (let line = 1; line <= lines; line += 1) {
      const [product, quantity] = [anyId(faker, sizes.products), faker.number.int({ min: 1, max: 3 })];
      const price = shelf.rows[product - 1]?.[4] ?? null;
      cents += Math.round(Number(price) * 100) * quantity;
      items.push([id, line, product, quantity, price]);
    }
    payments.push([
      id,
      id,
      money(cents),
      faker.helpers.arrayElement(['card', 'invoice', 'transfer']),
      placed,
    ]);
    return [id, customer, customer, placed, faker.helpers.arrayElement(['paid', 'shipped', 'returned'])];
  });
  return [
    {
      name: 'orders',
      columns: { id: 'int', customer_id: 'int', address_id: 'int', placed_at: 'timestamptz', status: 'text' },
      rows,
    },
    {
      name: 'order_items',
      columns: { order_id: 'int', line: 'int', product_id: 'int', quantity: 'int', price: 'numeric' },
      rows: items,
    },
    {
      name: 'payments',
      columns: { id: 'int', order_id: 'int', amount: 'numeric', method: 'text', paid_at: 'timestamptz' },
      rows: payments,
    },
  ];
}

function reviews(faker: Faker): ShopTable {
  return {
    name: 'reviews',
    columns: { id: 'int', product_id: 'int', customer_id: 'int', stars: 'int', body: 'text' },
    rows: times(sizes.reviews, (id) => [
      id,
      anyId(faker, sizes.products),
      anyId(faker, sizes.customers),
      faker.number.int({ min: 1, max: 5 }),
      faker.lorem.sentence(),
    ]),
  };
}

/** Few never confirmed, and of those only some long ago: what the demo's request deletes. */
function subscriptions(faker: Faker, people: ShopTable): ShopTable {
  const weighted = [
    { value: 'active', weight: 90 },
    { value: 'unsubscribed', weight: 5 },
    { value: 'unconfirmed', weight: 5 },
  ];
  return {
    name: 'newsletter_subscriptions',
    columns: {
      id: 'bigint',
      customer_id: 'int',
      email: 'text',
      status: 'text',
      topics: 'text[]',
      subscribed_at: 'timestamptz',
      last_opened_at: 'timestamptz',
    },
    rows: times(sizes.newsletter_subscriptions, (id) => {
      const status = faker.helpers.weightedArrayElement(weighted);
      const customer = status === 'unconfirmed' ? null : anyId(faker, sizes.customers);
      const address =
        customer === null
          ? email(faker.person.firstName(), faker.person.lastName(), sizes.customers + id)
          : (people.rows[customer - 1]?.[1] ?? null);
      const chosen = faker.helpers.arrayElements(topics, { min: 1, max: 3 });
      const opened = status === 'active' ? LAST_DAY : null;
      return [id, customer, address, status, `{${chosen.join(',')}}`, moment(faker), opened];
    }),
  };
}

function carts(faker: Faker, shelf: ShopTable): ShopTable {
  return {
    name: 'abandoned_carts',
    columns: { id: 'int', customer_id: 'int', content: 'jsonb', value: 'numeric', left_at: 'timestamptz' },
    rows: times(sizes.abandoned_carts, (id) => {
      const product = anyId(faker, sizes.products);
      const content = JSON.stringify([{ product, quantity: 1 }]);
      return [
        id,
        anyId(faker, sizes.customers),
        content,
        shelf.rows[product - 1]?.[4] ?? null,
        moment(faker),
      ];
    }),
  };
}

function times(count: number, make: (id: number) => Value[]): Value[][] {
  return Array.from({ length: count }, (_, index) => make(index + 1));
}

function anyId(faker: Faker, size: number): number {
  return faker.number.int({ min: 1, max: size });
}

function country(faker: Faker): string {
  return faker.helpers.objectKey(countries);
}

function moment(faker: Faker): string {
  return faker.date.between({ from: FIRST_DAY, to: LAST_DAY }).toISOString();
}

function money(cents: number): string {
  return (cents / 100).toFixed(2);
}

/** At a domain that is reserved for examples, so that nobody's mailbox is in the demo. */
function email(first: string, last: string, id: number): string {
  return `${first}.${last}.${id}@example.com`.toLowerCase().replace(/[^a-z0-9.@]/g, '');
}
