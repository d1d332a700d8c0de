"""The tables."""

from django.db import migrations, models

KEY = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False))


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Item",
            [KEY, ("name", models.CharField(max_length=80, unique=True)), ("stock", models.IntegerField(default=0))],
        ),
        migrations.CreateModel(
            "Order",
            [KEY, ("customer", models.CharField(max_length=80)), ("placed", models.DateTimeField())],
        ),
        migrations.CreateModel(
            "Line",
            [
                KEY,
                ("order", models.ForeignKey("Order", models.CASCADE, related_name="lines")),
                ("item", models.ForeignKey("Item", models.CASCADE)),
                ("count", models.PositiveIntegerField()),
            ],
        ),
    ]
